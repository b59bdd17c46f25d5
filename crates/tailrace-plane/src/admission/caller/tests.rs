use super::*;
use crate::h1::{parse_request, HeadLimits};
use serde_json::json;

const LIMITS: HeadLimits = HeadLimits {
    head_max_bytes: 16_384,
    headers_max: 100,
    uri_max_bytes: 1_024,
};

fn rules(declared: serde_json::Value) -> Rules {
    Rules::compile(&serde_json::from_value(declared).unwrap(), None).unwrap()
}

/// Asks as `peer` with these header lines; who it is, as an address or as the header said.
fn asked(rules: &Rules, peer: &str, lines: &str) -> String {
    let text = format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n");
    let mut head = RequestHead::default();
    parse_request(text.as_bytes(), &LIMITS, &mut head).unwrap();
    let hasher = RandomState::new();
    let peer = Peer::new(rules, &hasher, peer.parse().unwrap());
    let caller = Caller::identify(rules, &hasher, &peer, &head, text.as_bytes());
    match caller.name {
        Name::Address(key) => IpAddr::from(key).to_canonical().to_string(),
        Name::Said(name) => format!("said {}", String::from_utf8_lossy(name)),
    }
}

// RELIABILITY S27
#[test]
fn a_header_names_a_client_only_where_a_trusted_peer_sent_it() {
    let rules = rules(json!({"client": "header:X-Tenant", "trusted": ["10.0.0.0/8"]}));
    let said = "x-tenant: gold\r\n";
    assert_eq!(asked(&rules, "10.1.2.3", said), "said gold");
    assert_eq!(asked(&rules, "192.0.2.1", said), "192.0.2.1");
    assert_eq!(asked(&rules, "10.1.2.3", "x-tenant: \r\n"), "10.1.2.3");
    assert_eq!(
        asked(&rules, "10.1.2.3", "x-forwarded-for: 192.0.2.7\r\n"),
        "192.0.2.7"
    );
}

// RELIABILITY S27
#[test]
fn of_a_chain_of_proxies_the_nearest_that_is_not_trusted_counts() {
    let rules = rules(json!({"trusted": ["10.0.0.0/8", "fd00::/8"]}));
    for (peer, chain, expected) in [
        (
            "192.0.2.9",
            "x-forwarded-for: 198.51.100.1\r\n",
            "192.0.2.9",
        ),
        (
            "10.0.0.1",
            "x-forwarded-for: 1.1.1.1, 198.51.100.1\r\n",
            "198.51.100.1",
        ),
        (
            "10.0.0.1",
            "x-forwarded-for: 198.51.100.1, 10.0.0.7\r\n",
            "198.51.100.1",
        ),
        (
            "10.0.0.1",
            "x-forwarded-for: 1.1.1.1\r\nX-Forwarded-For: 198.51.100.1\r\n",
            "198.51.100.1",
        ),
        (
            "10.0.0.1",
            "x-forwarded-for: 10.0.0.3, 10.0.0.2\r\n",
            "10.0.0.3",
        ),
        (
            "10.0.0.1",
            "x-forwarded-for: 198.51.100.1:4711\r\n",
            "198.51.100.1",
        ),
        (
            "10.0.0.1",
            "x-forwarded-for: 1.1.1.1, nobody, 10.0.0.2\r\n",
            "10.0.0.2",
        ),
        ("10.0.0.1", "x-forwarded-for: nobody\r\n", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        (
            "::ffff:10.0.0.1",
            "x-forwarded-for: 198.51.100.1\r\n",
            "198.51.100.1",
        ),
        (
            "fd00::1",
            "x-forwarded-for: [2001:db8::1]:80\r\n",
            "2001:db8::",
        ),
    ] {
        assert_eq!(asked(&rules, peer, chain), expected, "{peer} {chain}");
    }
}

#[test]
fn more_hops_or_lines_than_a_proxy_writes_are_not_looked_at() {
    let rules = rules(json!({"trusted": ["10.0.0.0/8"]}));
    let hops = vec!["10.0.0.9"; 40].join(", ");
    let chain = format!("x-forwarded-for: 198.51.100.1, {hops}\r\n");
    assert_eq!(asked(&rules, "10.0.0.1", &chain), "10.0.0.9");
    let lines = "x-forwarded-for: 10.0.0.9\r\n".repeat(5);
    let chain = format!("x-forwarded-for: 198.51.100.1\r\n{lines}");
    assert_eq!(asked(&rules, "10.0.0.1", &chain), "10.0.0.9");
}

#[test]
fn a_host_with_many_addresses_is_one_client() {
    let rules = rules(json!({}));
    let one = asked(&rules, "2001:db8:1:2:3::4", "");
    assert_eq!(one, asked(&rules, "2001:db8:1:2:ffff::1", ""));
    assert_ne!(one, asked(&rules, "2001:db8:1:3::4", ""));
    assert_eq!(asked(&rules, "::ffff:192.0.2.1", ""), "192.0.2.1");
}

#[test]
fn a_network_holds_what_shares_its_prefix() {
    for (network, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("fd00::/8", "fdff::1", "fe80::1"),
        ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
        ("::/0", "2001:db8::1", "not one"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
    ] {
        let shown = if network.contains('/') {
            network.to_owned()
        } else {
            format!("{network}/32")
        };
        let network = Network::parse(network).unwrap();
        assert_eq!(network.to_string(), shown);
        assert!(network.holds(inside.parse().unwrap()), "{inside}");
        if let Ok(outside) = outside.parse() {
            assert!(!network.holds(outside), "{outside}");
        }
    }
}

fn worth(rules: &Rules, peer: &str, said: Option<&str>) -> Worth {
    let hasher = RandomState::new();
    let peer = Peer::new(rules, &hasher, peer.parse().unwrap());
    let head = RequestHead::default();
    let caller = Caller::identify(rules, &hasher, &peer, &head, b"");
    let said = said.map(str::as_bytes);
    Worth::of(rules, &peer, &caller, Class::Critical, said, 0, || 7 << 59)
}

// RELIABILITY S27
#[test]
fn a_priority_counts_where_a_trusted_peer_said_it() {
    let rules = rules(json!({"trusted": ["10.0.0.0/8"]}));
    let found = worth(&rules, "10.0.0.1", Some("critical_plus;cohort=31"));
    assert_eq!(found.level, Level::new(Class::CriticalPlus, 31));
    assert!(found.told && !found.ignored);
    let found = worth(&rules, "10.0.0.1", Some("sheddable"));
    // A proxy that names no client: the cohort is drawn.
    assert_eq!(found.level, Level::new(Class::Sheddable, 7));
    let found = worth(&rules, "192.0.2.1", Some("critical_plus;cohort=31"));
    assert_eq!(found.level.class(), Class::Critical);
    assert!(!found.told && found.ignored);
    let found = worth(&rules, "10.0.0.1", Some("most important"));
    assert_eq!(found.level.class(), Class::Critical);
    assert!(found.ignored);
    assert!(!worth(&rules, "192.0.2.1", None).ignored);
}

#[test]
fn a_client_may_have_a_priority_of_its_own() {
    let rules = rules(json!({
        "priorities": [{"client": "192.0.2.1", "priority": "sheddable_plus"}],
    }));
    let found = worth(&rules, "192.0.2.1", None);
    assert_eq!(found.level.class(), Class::SheddablePlus);
    assert!(found.told);
    assert_eq!(
        worth(&rules, "192.0.2.2", None).level.class(),
        Class::Critical
    );
}
