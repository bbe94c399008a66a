//! Where webhooks may go: the guard against being sent to what lies behind the node.
//!
//! A URL is read once ([`Target`]), and at each attempt every address that its host has is
//! checked before the connection is made to one of them. Ranges that no public endpoint has are
//! denied, however they are spelled or wrapped, unless a setting allows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::webhook::target::{Host, Target, UrlError};

/// Bounds what `webhooks_allow` lists.
const ALLOWED_MAX: usize = 1_000;

/// Says where webhooks may go.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allow_http: bool,
    allowed: Vec<Allowed>,
}

/// What is allowed though its range is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    /// Addresses whose first `bits` are these.
    Net { first: IpAddr, bits: u8 },
    /// A host by this name, whatever its addresses.
    Host(String),
    /// Hosts below this domain, which begins with a dot.
    Below(String),
}

/// Why a webhook may not go somewhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The text is no URL for a webhook.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Not with TLS.
    #[error("a webhook's URL begins with https://")]
    Http,
    /// An address that is not public.
    #[error("the address is {0}, and not allowed")]
    Address(&'static str),
}

impl Denied {
    /// Returns what the node's owner can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Denied::Url(_) => None,
            Denied::Http => Some("the setting webhooks_allow_http allows http://"),
            Denied::Address(_) => Some("the setting webhooks_allow lists what is allowed"),
        }
    }
}

/// Says that an item of `webhooks_allow` is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address, no range such as 10.0.0.0/8, and no host such as hooks.example or *.corp.example"
)]
pub struct AllowError(pub String);

impl Guard {
    /// Makes a guard of the settings `webhooks_allow_http` and `webhooks_allow`.
    pub fn new(allow_http: bool, allow: &[String]) -> Result<Guard, AllowError> {
        let allowed = allow.iter().take(ALLOWED_MAX).map(|item| {
            let item = item.trim();
            Allowed::parse(item).ok_or_else(|| AllowError(item.to_owned()))
        });
        Ok(Guard {
            allow_http,
            allowed: allowed.collect::<Result<_, _>>()?,
        })
    }

    /// Reads a URL, and refuses it where its text alone shows that it may not be.
    pub fn check_url(&self, text: &str) -> Result<Target, Denied> {
        let target = Target::parse(text)?;
        if !target.https && !self.allow_http {
            return Err(Denied::Http);
        }
        match &target.host {
            Host::Ip(address) => self.check_address(&target.host, *address)?,
            Host::Name(name) if is_localhost(name) => {
                self.check_address(&target.host, IpAddr::V4(Ipv4Addr::LOCALHOST))?;
            }
            Host::Name(_) => {}
        }
        Ok(target)
    }

    /// Says whether the node's owner vouches for an endpoint: the setting names its host, or the
    /// address that its URL is written with. A name that merely leads to such an address is not
    /// named by that.
    pub fn vouches(&self, url: &str) -> bool {
        let Ok(target) = Target::parse(url) else {
            return false;
        };
        let address = match &target.host {
            Host::Ip(address) => Some(address.to_canonical()),
            Host::Name(name) if is_localhost(name) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Host::Name(_) => None,
        };
        self.allowed.iter().any(|item| match address {
            Some(address) => item.covers(&target.host, address),
            None => item.names(&target.host),
        })
    }

    /// Says whether a host may be reached at an address.
    pub fn check_address(&self, host: &Host, address: IpAddr) -> Result<(), Denied> {
        // The system connects to a mapped address as to the one inside.
        let address = address.to_canonical();
        if self.allowed.iter().any(|item| item.covers(host, address)) {
            return Ok(());
        }
        match denied(address) {
            Some(why) => Err(Denied::Address(why)),
            None => Ok(()),
        }
    }
}

impl Allowed {
    fn parse(text: &str) -> Option<Allowed> {
        if let Some((address, bits)) = text.split_once('/') {
            let first: IpAddr = address.parse().ok()?;
            let bits: u8 = bits.parse().ok()?;
            return (u32::from(bits) <= width(first)).then_some(Allowed::Net { first, bits });
        }
        if let Some(domain) = text.strip_prefix("*.") {
            return match Host::parse(domain).ok()? {
                Host::Name(name) => Some(Allowed::Below(format!(".{name}"))),
                Host::Ip(_) => None,
            };
        }
        if let Ok(first) = text.parse::<IpAddr>() {
            let bits = u8::try_from(width(first)).unwrap_or(u8::MAX);
            return Some(Allowed::Net { first, bits });
        }
        match Host::parse(text).ok()? {
            Host::Name(name) => Some(Allowed::Host(name)),
            // A range is written so that everybody reads the same.
            Host::Ip(_) => None,
        }
    }

    fn covers(&self, host: &Host, address: IpAddr) -> bool {
        match self {
            Allowed::Net { first, bits } => same_net(*first, address, *bits),
            Allowed::Host(_) | Allowed::Below(_) => self.names(host),
        }
    }

    fn names(&self, host: &Host) -> bool {
        match (self, host) {
            (Allowed::Host(allowed), Host::Name(name)) => name == allowed,
            (Allowed::Below(domain), Host::Name(name)) => name.ends_with(domain.as_str()),
            (Allowed::Net { .. }, _) | (_, Host::Ip(_)) => false,
        }
    }
}

fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn same_net(a: IpAddr, b: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let differ = a.to_bits() ^ b.to_bits();
            differ.leading_zeros() >= bits
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let differ = a.to_bits() ^ b.to_bits();
            differ.leading_zeros() >= bits
        }
        _ => false,
    }
}

fn is_localhost(name: &str) -> bool {
    const NAMES: [&str; 4] = [
        "localhost",
        "localhost.localdomain",
        "ip6-localhost",
        "ip6-loopback",
    ];
    NAMES.contains(&name) || name.ends_with(".localhost")
}

/// Says why an address is none of the public internet, if it is not.
fn denied(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => denied_v4(address),
        IpAddr::V6(address) => denied_v6(address),
    }
}

type Range4 = (Ipv4Addr, u8, &'static str);

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8, why: &'static str) -> Range4 {
    (Ipv4Addr::new(a, b, c, d), bits, why)
}

/// IANA's registry of special-purpose addresses, and addresses at which clouds tell machines
/// their secrets.
#[rustfmt::skip]
const DENIED_V4: [Range4; 17] = [
    v4(0, 0, 0, 0, 8,        "unspecified"),
    v4(10, 0, 0, 0, 8,       "private"),
    v4(100, 64, 0, 0, 10,    "shared with a carrier"),
    v4(127, 0, 0, 0, 8,      "loopback"),
    v4(168, 63, 129, 16, 32, "a cloud's own"),
    v4(169, 254, 0, 0, 16,   "link-local"),
    v4(172, 16, 0, 0, 12,    "private"),
    v4(192, 0, 0, 0, 24,     "reserved for protocols"),
    v4(192, 0, 2, 0, 24,     "for documentation"),
    v4(192, 88, 99, 0, 24,   "a relay's"),
    v4(192, 168, 0, 0, 16,   "private"),
    v4(198, 18, 0, 0, 15,    "for benchmarks"),
    v4(198, 51, 100, 0, 24,  "for documentation"),
    v4(203, 0, 113, 0, 24,   "for documentation"),
    v4(224, 0, 0, 0, 4,      "multicast"),
    v4(240, 0, 0, 0, 4,      "reserved"),
    v4(255, 255, 255, 255, 32, "broadcast"),
];

fn denied_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |range: &&Range4| same_net(IpAddr::V4(range.0), IpAddr::V4(address), range.1);
    DENIED_V4.iter().find(within).map(|range| range.2)
}

type Range6 = (Ipv6Addr, u8, &'static str);

const fn v6(a: u16, b: u16, c: u16, bits: u8, why: &'static str) -> Range6 {
    (Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits, why)
}

/// What is special inside global unicast.
#[rustfmt::skip]
const DENIED_V6: [Range6; 4] = [
    v6(0x2001, 0, 0, 23,     "reserved for protocols and tunnels"),
    v6(0x2001, 0xdb8, 0, 32, "for documentation"),
    v6(0x2002, 0, 0, 16,     "a tunnel's"),
    v6(0x3fff, 0, 0, 20,     "for documentation"),
];

fn denied_v6(address: Ipv6Addr) -> Option<&'static str> {
    let parts = address.segments();
    let low = || Ipv4Addr::from((u32::from(parts[6]) << 16) | u32::from(parts[7]));
    // NAT64 (RFC 6052) is how a network without IPv4 reaches public addresses; it must not reach
    // others so.
    if parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return denied_v4(low());
    }
    // Only 2000::/3 is global unicast: loopback, unique local, link-local, site-local, multicast,
    // compatible and translated addresses lie outside.
    if parts[0] >> 13 != 1 {
        return Some(special_v6(address));
    }
    // ISATAP (RFC 5214) carries an IPv4 address at the end of any prefix.
    if parts[5] == 0x5efe && parts[4] & 0xfdff == 0 && denied_v4(low()).is_some() {
        return Some("a tunnel's");
    }
    let within = |range: &&Range6| same_net(IpAddr::V6(range.0), IpAddr::V6(address), range.1);
    DENIED_V6.iter().find(within).map(|range| range.2)
}

/// Names what lies outside of global unicast.
fn special_v6(address: Ipv6Addr) -> &'static str {
    let first = address.segments()[0];
    if address.is_loopback() {
        "loopback"
    } else if address.is_unspecified() {
        "unspecified"
    } else if address.is_multicast() {
        "multicast"
    } else if first & 0xfe00 == 0xfc00 {
        "unique local"
    } else if first & 0xffc0 == 0xfe80 {
        "link-local"
    } else {
        "reserved"
    }
}
