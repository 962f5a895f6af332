//! What TLS is done with.

use rustls::crypto::{CryptoProvider, ring};

/// Makes ring what TLS is done with by libraries that ask for no other.
pub(crate) fn install_ring() {
    if CryptoProvider::get_default().is_none() {
        // Losing a race means that another one is installed: as good.
        let _ = ring::default_provider().install_default();
    }
}
