//! Seeing whether a cluster is there and lets us in.

use reqwest::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::failure;
use super::request::address;
use crate::sources::web::answer::{self, Refusal};
use crate::sources::web::json::{parse, text};
use crate::sources::web::{Server, shown_address, told};
use crate::text::shown;
use crate::{ProbeReport, SourceError};

/// Longer answers about a cluster are not read.
const BODY_BYTES: u64 = 256 << 10;

/// The answer of `GET /`.
#[derive(Deserialize)]
struct Root {
    cluster_name: String,
    version: Version,
}

#[derive(Deserialize)]
struct Version {
    number: String,
    /// `opensearch`; Elasticsearch has none.
    distribution: Option<String>,
}

/// Asks what the cluster is; where it does not answer `GET /`, what its nodes are; where it lets us search only, says so.
pub(super) async fn probe(server: &Server) -> Result<ProbeReport, SourceError> {
    let mut secrets = Vec::new();
    let place = shown_address(server.base());
    let detail = describe(server, &mut secrets).await.map_err(|error| told(error, &place, &secrets))?;
    Ok(ProbeReport { detail: format!("{place}: {detail}") })
}

async fn describe(server: &Server, secrets: &mut Vec<String>) -> Result<String, SourceError> {
    let base = server.base().clone();
    match get(server, Request::new(Method::GET, base), secrets).await? {
        Answered::Body(body) => {
            let root: Root = parse(text(&body)?)?;
            let name = match root.version.distribution.as_deref() {
                None => "Elasticsearch",
                Some("opensearch") => "OpenSearch",
                Some(other) => other,
            };
            let (name, version) = (shown(name, 60), shown(&root.version.number, 60));
            Ok(format!("{name} {version}, cluster `{}`", shown(&root.cluster_name, 60)))
        }
        Answered::Forbidden => {
            Ok("lets us in, but tells its version to those with the privilege `monitor` only".to_owned())
        }
        Answered::NotThere => describe_nodes(server, secrets).await,
    }
}

async fn describe_nodes(server: &Server, secrets: &mut Vec<String>) -> Result<String, SourceError> {
    let mut url = address(server.base(), &["_nodes", "_local"]).map_err(SourceError::permanent)?;
    url.query_pairs_mut().append_pair("filter_path", "cluster_name,nodes.*.version");
    match get(server, Request::new(Method::GET, url), secrets).await? {
        Answered::Body(body) => {
            let nodes: Value = parse(text(&body)?)?;
            let node = nodes["nodes"].as_object().and_then(|nodes| nodes.values().next());
            let version = node.and_then(|node| node["version"].as_str()).unwrap_or("unknown");
            let cluster = nodes["cluster_name"].as_str();
            let cluster = cluster
                .ok_or_else(|| SourceError::invalid("answer names no cluster: is it a search server?"))?;
            Ok(format!("version {}, cluster `{}`", shown(version, 60), shown(cluster, 60)))
        }
        Answered::Forbidden => Ok("lets us in, but does not tell its version".to_owned()),
        Answered::NotThere => {
            Err(SourceError::permanent("neither `/` nor `/_nodes` is there: is it a search server?"))
        }
    }
}

enum Answered {
    Body(Vec<u8>),
    Forbidden,
    NotThere,
}

async fn get(server: &Server, request: Request, secrets: &mut Vec<String>) -> Result<Answered, SourceError> {
    let response = server.send(request, secrets).await?;
    match response.status() {
        status if status.is_success() => Ok(Answered::Body(answer::body(response, BODY_BYTES).await?)),
        // Without a handler for it, the path is taken for an index: 400 or 405.
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED => {
            Ok(Answered::NotThere)
        }
        _ => {
            let refusal = Refusal::read(response, failure::BODY_BYTES).await;
            if failure::is_lack_of_privilege(&refusal) {
                return Ok(Answered::Forbidden);
            }
            Err(failure::error(&refusal))
        }
    }
}
