//! The gate: whom a request names, whence it comes, and who acts.
//!
//! A page in a browser can reach any port of its own machine, and a name of its own can be made
//! to point there (DNS rebinding). So every TCP request must name a host that is ours, and a
//! browser's must come from an origin that is ours.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN, UPGRADE};
use http::request::Parts;
use syncline_api::{Code, Problem};
use syncline_engine::Principal;
use tokio::sync::OwnedSemaphorePermit;

use crate::doors::Doors;

/// Where a connection came in.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub door: Door,
    /// Held by all that lives on the connection, so that its end is noticed.
    pub _permit: Arc<OwnedSemaphorePermit>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Door {
    /// A TCP connection to this address of ours.
    Tcp(SocketAddr),
    /// The Unix socket, whose file's mode lets in the owner only.
    Unix,
}

/// Who acts, if anybody said so yet.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub Option<Principal>);

/// Lets a request in, or says why not.
pub(crate) fn admit(doors: &Doors, door: Door, parts: &Parts) -> Result<Caller, Problem> {
    let Door::Tcp(local) = door else {
        return Ok(Caller(Some(Principal::owner())));
    };
    check_host(doors, local, parts)?;
    check_origin(doors, local, &parts.headers)?;
    match bearer(&parts.headers)? {
        Some(token) => match doors.keys.verify(token) {
            Some(principal) => Ok(Caller(Some(principal))),
            None => Err(
                Problem::new(Code::Unauthorized, "the key is not known here")
                    .hint("`syncline key` prints the node's key"),
            ),
        },
        None if may_go_without(parts) => Ok(Caller(None)),
        None => Err(no_key()),
    }
}

/// Makes the answer for a request without a key.
pub(crate) fn no_key() -> Problem {
    Problem::new(Code::Unauthorized, "the request carries no key")
        .hint("send Authorization: Bearer with the key that `syncline key` prints")
}

fn may_go_without(parts: &Parts) -> bool {
    match parts.uri.path() {
        "/healthz" | "/readyz" => true,
        // `hello` brings the token.
        "/v1/sync" => parts.headers.contains_key(UPGRADE),
        _ => false,
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match token {
        Some(token) => Ok(Some(token)),
        None => Err(
            Problem::new(Code::Unauthorized, "Authorization is not a bearer token")
                .hint("send Authorization: Bearer <key>"),
        ),
    }
}

fn check_host(doors: &Doors, local: SocketAddr, parts: &Parts) -> Result<(), Problem> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let target = parts.uri.authority().map(|authority| authority.as_str());
    let ours = |host: &str| is_ours(doors, local, host, 80);
    let good = hosts.next().is_none() && host.is_some_and(ours) && target.is_none_or(ours);
    if good {
        return Ok(());
    }
    let shown: String = host.unwrap_or("(none)").chars().take(100).collect();
    Err(Problem::new(
        Code::ForeignHost,
        format!("the Host {shown:?} is not this node's"),
    )
    .hint("call it by its address, or add the name to the setting allowed_hosts"))
}

fn check_origin(doors: &Doors, local: SocketAddr, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or("(not text)");
    let allowed = doors
        .allowed_origins
        .iter()
        .any(|known| known.eq_ignore_ascii_case(origin));
    let own = match origin.split_once("://") {
        Some(("http", host)) => is_ours(doors, local, host, 80),
        Some(("https", host)) => is_ours(doors, local, host, 443),
        _ => false,
    };
    if allowed || own {
        return Ok(());
    }
    let shown: String = origin.chars().take(100).collect();
    Err(Problem::new(
        Code::ForeignOrigin,
        format!("the Origin {shown:?} may not call this node"),
    )
    .hint("add it to the setting allowed_origins"))
}

/// Says whether `host`, with or without a port, names this node.
fn is_ours(doors: &Doors, local: SocketAddr, host: &str, default_port: u16) -> bool {
    let Some((name, port)) = split_port(host) else {
        return false;
    };
    let listed = doors
        .allowed_hosts
        .iter()
        .any(|known| match split_port(known) {
            Some((known, None)) => known.eq_ignore_ascii_case(name),
            Some((known, wanted)) => known.eq_ignore_ascii_case(name) && wanted == port,
            None => false,
        });
    if listed {
        return true;
    }
    if port.unwrap_or(default_port) != local.port() {
        return false;
    }
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    // A literal address cannot be rebound to another machine, and this one is the connection's own.
    let literal = bare.parse().is_ok_and(|ip: std::net::IpAddr| {
        ip.to_canonical() == local.ip().to_canonical() || is_loopback_name(ip)
    });
    literal || name.eq_ignore_ascii_case("localhost")
}

fn is_loopback_name(ip: std::net::IpAddr) -> bool {
    ip == std::net::Ipv4Addr::LOCALHOST || ip == std::net::Ipv6Addr::LOCALHOST
}

pub(crate) fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    match port.strip_prefix(':') {
        Some(port) => Some((name, Some(port.parse().ok()?))),
        None if port.is_empty() => Some((name, None)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::split_port;

    #[test]
    fn ports_are_split_off() {
        for (host, expected) in [
            ("localhost", Some(("localhost", None))),
            ("localhost:7420", Some(("localhost", Some(7420)))),
            ("[::1]:80", Some(("[::1]", Some(80)))),
            ("[::1]", Some(("[::1]", None))),
            ("[::1]x", None),
            ("[::1", None),
            ("a:b", None),
            ("a:80:80", None),
            ("a:99999", None),
        ] {
            assert_eq!(split_port(host), expected, "{host}");
        }
    }
}
