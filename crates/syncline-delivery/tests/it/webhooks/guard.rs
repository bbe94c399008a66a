//! Every spelling of an address that must not be reached, and some that may.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use syncline_delivery::webhook::guard::{Denied, Guard};
use syncline_delivery::webhook::target::{Host, Target, UrlError};

fn guard(allow: &[&str]) -> Guard {
    let allow: Vec<String> = allow.iter().map(|item| (*item).to_owned()).collect();
    Guard::new(true, &allow).unwrap()
}

/// All the ways to write an IPv4 address in a URL.
fn spellings_v4(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let bits = address.to_bits();
    let (low3, low2) = (bits & 0xff_ffff, bits & 0xffff);
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{bits}"),
        format!("{bits:#x}"),
        format!("{bits:#X}"),
        format!("0x{bits:08x}"),
        format!("0x00000000{bits:08x}"),
        format!("0{bits:o}"),
        format!("0000000{bits:o}"),
        format!("{a}.{low3}"),
        format!("{a}.{low3:#x}"),
        format!("{a}.0{low3:o}"),
        format!("{a}.{b}.{low2}"),
        format!("{a}.{b}.{low2:#x}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("00{a:o}.000{b:o}.0{c:o}.0000{d:o}"),
        format!("{a:#x}.{b}.0{low2:o}"),
        format!("0{a:o}.{low3}"),
        format!("[::ffff:{a}.{b}.{c}.{d}]"),
        format!("[::FFFF:{:x}:{:x}]", bits >> 16, bits & 0xffff),
        format!("[0:0:0:0:0:ffff:{:x}:{:x}]", bits >> 16, bits & 0xffff),
        format!("[::{a}.{b}.{c}.{d}]"),
        format!("[::ffff:0:{a}.{b}.{c}.{d}]"),
        format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
        format!("[64:ff9b:1::{a}.{b}.{c}.{d}]"),
        format!("[2002:{:x}:{:x}::1]", bits >> 16, bits & 0xffff),
        format!(
            "[2001:0:4136:e378:8000:63bf:{:x}:{:x}]",
            !(bits >> 16) & 0xffff,
            !bits & 0xffff
        ),
        format!("[2a00:1450::5efe:{:x}:{:x}]", bits >> 16, bits & 0xffff),
        format!("[2a00:1450::200:5efe:{:x}:{:x}]", bits >> 16, bits & 0xffff),
    ]
}

const PRIVATE: [&str; 30] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
];

#[test]
fn no_spelling_of_a_private_address_passes() {
    let guard = guard(&[]);
    let mut count = 0;
    for address in PRIVATE {
        for host in spellings_v4(address.parse().unwrap()) {
            for url in [
                format!("https://{host}/hook"),
                format!("http://{host}:8080"),
                format!("HTTPS://{host}?a=b"),
            ] {
                let found = guard.check_url(&url);
                let denied = matches!(found, Err(Denied::Address(_) | Denied::Url(_)));
                assert!(denied, "{url}: {found:?}");
                count += 1;
            }
        }
    }
    assert!(count > 2_000, "{count}");
}

#[test]
fn addresses_in_ipv4_s_spellings_are_read_as_the_system_reads_them() {
    for address in ["93.184.216.34", "8.8.8.8", "1.1.1.1"] {
        let address: Ipv4Addr = address.parse().unwrap();
        for host in &spellings_v4(address)[..19] {
            let target = Target::parse(&format!("https://{host}/")).unwrap();
            assert_eq!(target.host, Host::Ip(IpAddr::V4(address)), "{host}");
        }
    }
}

#[test]
fn special_addresses_of_ipv6_are_denied() {
    let guard = guard(&[]);
    for address in [
        "::",
        "::1",
        "::2",
        "100::1",
        "fc00::1",
        "fd00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "2001::1",
        "2001:10::1",
        "2001:20::1",
        "2001:2::1",
        "2002::1",
        "3fff::1",
        "5f00::1",
        "4000::1",
        "64:ff9b:1::1",
        "64:ff9b::10.0.0.1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
    ] {
        let ip: Ipv6Addr = address.parse().unwrap();
        let host = Host::Name("hooks.example".to_owned());
        assert!(
            guard.check_address(&host, IpAddr::V6(ip)).is_err(),
            "{address}"
        );
        assert!(
            guard.check_url(&format!("https://[{address}]/")).is_err(),
            "{address}"
        );
    }
    for address in [
        "2606:4700::1111",
        "2a00:1450:4001::200e",
        "2600::1",
        "64:ff9b::8.8.8.8",
        "::ffff:8.8.8.8",
        "2a00:1450::5efe:808:808",
    ] {
        let found = guard.check_url(&format!("https://[{address}]/"));
        assert!(found.is_ok(), "{address}: {found:?}");
    }
}

#[test]
fn names_of_this_machine_are_denied_and_others_are_for_the_resolver() {
    let guard = guard(&[]);
    for name in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "a.b.localhost.",
        "localhost.localdomain",
        "ip6-localhost",
        "ip6-loopback",
    ] {
        let found = guard.check_url(&format!("https://{name}/"));
        assert_eq!(found, Err(Denied::Address("loopback")), "{name}");
    }
    for name in [
        "example.com",
        "localhost.example.com",
        "xn--bcher-kva.example",
        "a_b.example",
        "a",
    ] {
        assert!(
            guard.check_url(&format!("https://{name}/")).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn what_two_readers_may_take_differently_is_refused() {
    for url in [
        "",
        "/",
        "//example.com",
        "example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://example.com",
        "https:/example.com",
        "https:example.com",
        "https://",
        "https:///example.com",
        "https://?",
        "https://:443/",
        "https://user@example.com/",
        "https://user:pw@example.com/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1@example.com/",
        "https://example.com:80@127.0.0.1/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com\\.evil/",
        "https://exam\tple.com/",
        "https://example.com/\n",
        " https://example.com/",
        "https://example.com /",
        "https://ex%61mple.com/",
        "https://127.0.0.1%2f/",
        "https://[::1%25lo]/",
        "https://[fe80::1%eth0]/",
        "https://[::1/",
        "https://::1/",
        "https://[::1]x/",
        "https://[]/",
        "https://[127.0.0.1]/",
        "https://example..com/",
        "https://.example.com/",
        "https://example.com../",
        "https://example.com:/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:+443/",
        "https://example.com:44a/",
        "https://example.com/#frag",
        "https://example.com#@x/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://1.2.3.256/",
        "https://1.2.65536/",
        "https://4294967296/",
        "https://0x100000000/",
        "https://08.0.0.1/",
        "https://1.2.3.0x/x y",
        "https://0x7g/",
        "https://a.0x7f/",
        "https://example.1/",
        "https://1.example.09/",
        "https://ｅxample.com/",
        "https://①②⑦.⓪.⓪.①/",
        "https://127。0。0。1/",
        "https://exa<mple.com/",
        "https://example.com/{x}",
        "https://example.com/a\"b",
    ] {
        let found = Target::parse(url);
        let bare = url == "https://0x7g/";
        assert!(found.is_err() || bare, "{url}: {found:?}");
    }
    let long = format!("https://example.com/{}", "a".repeat(2_048));
    assert_eq!(Target::parse(&long), Err(UrlError::TooLong));
}

#[test]
fn urls_are_read_into_their_parts() {
    for (url, authority, path, port) in [
        ("https://example.com", "example.com", "/", 443),
        (
            "https://Example.COM:443/a/b?c=d",
            "example.com",
            "/a/b?c=d",
            443,
        ),
        ("http://example.com:8080?x", "example.com:8080", "/?x", 8080),
        ("http://example.com./@:", "example.com", "/@:", 80),
        ("https://[2600::1]:8443/", "[2600::1]:8443", "/", 8443),
        ("https://0x08080808/", "8.8.8.8", "/", 443),
    ] {
        let target = Target::parse(url).unwrap();
        assert_eq!(target.authority(), authority, "{url}");
        assert_eq!((target.path.as_str(), target.port), (path, port), "{url}");
    }
}

#[test]
fn settings_allow_ranges_addresses_and_hosts() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let name = |text: &str| Host::Name(text.to_owned());
    let allowing = guard(&[
        "127.0.0.1",
        "10.1.0.0/16",
        "hooks.corp",
        "*.internal",
        "fd00::/8",
    ]);
    let any = name("x.example");
    for (host, address, is_allowed) in [
        (&any, "127.0.0.1", true),
        (&any, "::ffff:127.0.0.1", true),
        (&any, "127.0.0.2", false),
        (&any, "10.1.255.1", true),
        (&any, "10.2.0.1", false),
        (&any, "fd12::1", true),
        (&any, "fe80::1", false),
        (&any, "64:ff9b::127.0.0.1", false),
        (&name("hooks.corp"), "192.168.0.1", true),
        (&name("a.hooks.corp"), "192.168.0.1", false),
        (&name("a.internal"), "192.168.0.1", true),
        (&name("internal"), "192.168.0.1", false),
        (&name("evilinternal"), "192.168.0.1", false),
    ] {
        let found = allowing.check_address(host, ip(address));
        assert_eq!(found.is_ok(), is_allowed, "{host} {address}: {found:?}");
    }
    assert!(allowing.check_url("https://localhost/").is_ok());
    assert!(guard(&["0.0.0.0/0"]).check_url("https://10.0.0.1/").is_ok());
    for item in [
        "",
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "0x7f.1",
        "*.10.0.0.1",
        "a b",
        "*",
        "*.",
    ] {
        assert!(Guard::new(false, &[item.to_owned()]).is_err(), "{item}");
    }
    let strict = Guard::new(false, &[]).unwrap();
    assert_eq!(strict.check_url("http://example.com/"), Err(Denied::Http));
    assert!(
        Denied::Http
            .hint()
            .is_some_and(|hint| hint.contains("webhooks_allow_http"))
    );
}

#[test]
fn its_owner_vouches_for_what_the_setting_names() {
    let guard = guard(&["127.0.0.1", "10.0.0.0/8", "hooks.example", "*.corp.example"]);
    for (url, vouched) in [
        ("http://127.0.0.1:8080/hook", true),
        ("http://0x7f000001/", true),
        ("http://[::ffff:127.0.0.1]/", true),
        ("http://localhost:3000/", true),
        ("https://10.1.2.3/", true),
        ("https://hooks.example/", true),
        ("https://a.corp.example/", true),
        ("https://corp.example/", false),
        ("https://evil.example/", false),
        ("https://127.0.0.2/", false),
        ("https://8.8.8.8/", false),
        ("https://[::1]/", false),
        ("hooks.example", false),
    ] {
        assert_eq!(guard.vouches(url), vouched, "{url}");
    }
}
