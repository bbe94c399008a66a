//! Where a webhook posts to: a URL, read strictly and by us alone.
//!
//! Who reads a URL decides where the connection goes. Here one reader does both, so there is no
//! second one that could find another host in the same text; what two readers might take
//! differently is refused.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bounds a URL, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// Bounds a host's name, in bytes (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
/// Bounds a label of it.
const LABEL_BYTES_MAX: usize = 63;

/// Where a webhook posts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// With TLS.
    pub https: bool,
    /// Which host.
    pub host: Host,
    /// Which port.
    pub port: u16,
    /// What is asked for there: path and query.
    pub path: String,
}

/// A host, as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// By name, in lower case, without a dot at its end.
    Name(String),
    /// By address, however it was spelled.
    Ip(IpAddr),
}

/// Why a text is no URL for a webhook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Too long.
    #[error("a webhook's URL has at most {URL_BYTES_MAX} bytes")]
    TooLong,
    /// Neither `https://` nor `http://`.
    #[error("a webhook's URL begins with https://")]
    Scheme,
    /// Something that no URL has, or only in another spelling.
    #[error("a webhook's URL has only visible ASCII characters, and no {0:?}")]
    Character(char),
    /// A name or password before the host.
    #[error("a webhook's URL names no user; the signature says who calls")]
    User,
    /// What follows a `#`, which no server is sent.
    #[error("a webhook's URL has no fragment")]
    Fragment,
    /// No host, or none that can be.
    #[error("{0:?} is no host")]
    Host(String),
    /// No port that can be.
    #[error("{0:?} is no port")]
    Port(String),
}

impl Target {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Target, UrlError> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        // Browsers take \ for /, and drop tabs and line breaks: readers that differ find two hosts.
        let strange = |c: char| !c.is_ascii_graphic() || "\\\"<>^`{|}".contains(c);
        if let Some(character) = text.chars().find(|c| strange(*c)) {
            return Err(UrlError::Character(character));
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(UrlError::Scheme),
        };
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(port) => read_port(port)?,
            None if https => 443,
            None => 80,
        };
        let path = match path.as_bytes().first() {
            Some(b'/') => path.to_owned(),
            _ => format!("/{path}"),
        };
        Ok(Target {
            https,
            host: Host::parse(host)?,
            port,
            path,
        })
    }

    /// Returns what the `Host` header says: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        match (self.https, self.port) {
            (true, 443) | (false, 80) => self.host.to_string(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    let after_host = match authority.strip_prefix('[') {
        Some(rest) => match rest.find(']') {
            Some(at) => at + 2,
            None => return Err(UrlError::Host(authority.to_owned())),
        },
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(after_host);
    match (rest.is_empty(), rest.strip_prefix(':')) {
        (true, _) => Ok((host, None)),
        (false, Some(port)) => Ok((host, Some(port))),
        (false, None) => Err(UrlError::Host(authority.to_owned())),
    }
}

fn read_port(text: &str) -> Result<u16, UrlError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port != 0);
    port.ok_or_else(|| UrlError::Port(text.to_owned()))
}

impl Host {
    /// Reads a host. What ends in a number is an address in one of IPv4's old spellings, and
    /// never a name: some resolver would read it as one.
    pub fn parse(text: &str) -> Result<Host, UrlError> {
        let refused = || UrlError::Host(text.to_owned());
        if let Some(inside) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            // A zone names an interface of ours, which is nobody's business.
            let address: Ipv6Addr = inside.parse().map_err(|_| refused())?;
            return Ok(Host::Ip(IpAddr::V6(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label = |label: &str| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.len() <= LABEL_BYTES_MAX && label.bytes().all(good)
        };
        if name.len() > NAME_BYTES_MAX || !name.split('.').all(label) {
            return Err(refused());
        }
        match ends_in_number(&name) {
            true => read_ipv4(&name)
                .map(|address| Host::Ip(IpAddr::V4(address)))
                .ok_or_else(refused),
            false => Ok(Host::Name(name)),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(IpAddr::V4(address)) => address.fmt(f),
            Host::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.bytes().all(|byte| byte.is_ascii_digit()) || read_number(last).is_some()
}

/// Reads `127.0.0.1`, `0x7f.1`, `017700000001`, `2130706433`, as `inet_aton` does.
fn read_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, first) = parts.split_last()?;
    if first.len() > 3 {
        return None;
    }
    let mut address: u64 = 0;
    for part in first {
        address = address << 8 | read_number(part).filter(|number| *number <= 255)?;
    }
    let bits = 8 * (4 - first.len());
    let last = read_number(last).filter(|number| *number < 1 << bits)?;
    u32::try_from(address << bits | last)
        .ok()
        .map(Ipv4Addr::from)
}

/// Reads a decimal, an octal that begins with 0, or a hexadecimal that begins with 0x.
fn read_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // "0x" alone is 0 to those who read it at all.
    if digits.is_empty() {
        return (radix == 16).then_some(0);
    }
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => Some(0),
        1..=16 => u64::from_str_radix(digits, radix).ok(),
        _ => None,
    }
}
