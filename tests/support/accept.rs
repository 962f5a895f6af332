//! A fake's front door: a free port on which each connection is served on a thread of its own.

use std::net::{TcpListener, TcpStream};

/// A listener on a free port, and the port.
pub fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Serves every connection by `serve` of a copy of the fake, as long as the process lives.
pub fn accept<Fake: Clone + Send + 'static>(
    listener: TcpListener,
    fake: &Fake,
    serve: fn(&Fake, TcpStream) -> Option<()>,
) {
    let fake = fake.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let fake = fake.clone();
            std::thread::spawn(move || serve(&fake, stream));
        }
    });
}
