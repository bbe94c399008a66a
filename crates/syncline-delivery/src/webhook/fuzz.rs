//! The reader of webhooks' URLs, for any bytes.

use std::net::{IpAddr, Ipv6Addr};

use crate::webhook::guard::Guard;
use crate::webhook::target::{Host, Target};

/// Reads `data` as a URL, and as a host of one.
///
/// # Panics
/// If what was read, written again, is read as something else; if another reader would find an
/// address in what we take for a name; or if what the guard lets pass could not be asked for.
pub fn fuzz_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    check(text);
    check(&format!("https://{text}"));
    check(&format!("https://[{text}]/"));
}

fn check(url: &str) {
    let Ok(target) = Target::parse(url) else {
        return;
    };
    let scheme = if target.https { "https" } else { "http" };
    let again = format!("{scheme}://{}{}", target.authority(), target.path);
    // What the text left out, such as the first slash, may make it longer than a URL may be.
    if let Ok(again) = Target::parse(&again) {
        assert_eq!(again, target, "read again, it is the same");
    }
    assert_eq!(
        Host::parse(&target.host.to_string()),
        Ok(target.host.clone())
    );
    if let Host::Name(name) = &target.host {
        assert!(name.parse::<IpAddr>().is_err(), "an address is no name");
        assert!(name.parse::<Ipv6Addr>().is_err(), "an address is no name");
    }
    let path = target.path.parse::<http::Uri>();
    let path = path.expect("a path that was read can be asked for");
    let asked = path.path_and_query().map(http::uri::PathAndQuery::as_str);
    assert_eq!(asked, Some(target.path.as_str()), "all of it is asked for");
    let guard = Guard::default();
    if guard.check_url(url).is_ok() {
        assert!(target.https, "only https is public");
        if let Host::Ip(address) = target.host {
            assert!(!address.is_loopback() && !address.is_unspecified());
        }
    }
    assert!(!guard.vouches(url), "nobody vouched for anything");
}

#[cfg(test)]
mod tests {
    use super::fuzz_url;

    #[test]
    fn corpus() {
        for text in [
            "",
            "https://",
            "https://hooks.example/a?b=c",
            "HTTP://EXAMPLE.com.:80?x",
            "https://[::1]",
            "::ffff:127.0.0.1",
            "0x7f.1/",
            "1.2.3.4.",
            "a:0",
            "a/%",
            "a/\'*",
            "a//b//../?#",
            "a?a?b/c",
            "a/;=@:!$&'()*+,~",
            "a-.-_/",
        ] {
            fuzz_url(text.as_bytes());
        }
    }
}
