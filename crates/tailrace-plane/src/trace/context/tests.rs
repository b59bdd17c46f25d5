//! What is a context, and what becomes of what is none (req 16.6).

use super::{fill, parse, Carried, Context, Parent, MEMBERS_MAX, SAMPLED, STATE_MAX};
use proptest::prelude::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn given() -> Parent {
    Parent {
        trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        span: 0x00f0_67aa_0ba9_02b7,
        flags: 1,
    }
}

fn read(headers: &[(&str, &str)]) -> (Option<Parent>, String) {
    let mut out = b"x: y\r\n".to_vec();
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let carried = Carried::read(pairs, &mut out);
    carried.push_line(&mut out);
    let text = String::from_utf8(out).unwrap();
    (
        carried.parent,
        text.strip_prefix("x: y\r\n").unwrap().to_owned(),
    )
}

#[test]
fn what_the_recommendation_gives_as_examples_is_read() {
    let plain = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(parse(plain.as_bytes()), Some(given()));
    let unsampled = format!("00-{TRACE}-{SPAN}-00");
    assert_eq!(parse(unsampled.as_bytes()).map(|one| one.flags), Some(0));
    // Flags nobody knows yet are read; what is handed on of them is another matter.
    let flags = format!("00-{TRACE}-{SPAN}-ff");
    assert_eq!(parse(flags.as_bytes()).map(|one| one.flags), Some(0xff));
    // A later version may be longer, behind a dash.
    for later in ["", "-", "-what-the-future-will-be-like"] {
        let later = format!("cc-{TRACE}-{SPAN}-01{later}");
        assert_eq!(parse(later.as_bytes()), Some(given()), "{later}");
    }
}

#[test]
fn what_is_not_exactly_a_context_is_none() {
    let upper = TRACE.to_uppercase();
    let zeros = ["0".repeat(32), "0".repeat(16)];
    let rows = [
        String::new(),
        "00".to_owned(),
        format!("00-{TRACE}-{SPAN}"),
        format!("00-{TRACE}-{SPAN}-"),
        format!("00-{TRACE}-{SPAN}-1"),
        format!("00-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("00-{TRACE}-{SPAN}-011"),
        format!("00-{TRACE}-{SPAN}-0g"),
        format!("00-{TRACE}-{SPAN}-0A"),
        format!("00-{upper}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", zeros[0]),
        format!("00-{TRACE}-{}-01", zeros[1]),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("cc-{TRACE}-{SPAN}-01.what"),
        format!("0-{TRACE}-{SPAN}-01"),
        format!("0x-{TRACE}-{SPAN}-01"),
        format!(".0-{TRACE}-{SPAN}-01"),
        format!("00_{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}_{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}_01"),
        format!("00-{}-{SPAN}-01", &TRACE[1..]),
        format!("00-{TRACE}-{}-01", &SPAN[1..]),
        format!(" 00-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-01 "),
        format!("00-{}é-{SPAN}-01", &TRACE[2..]),
        format!("00-{}\u{0}\u{0}-{SPAN}-01", &TRACE[2..]),
        format!("00-{TRACE}-{SPAN}-01").repeat(2),
        "0".repeat(100_000),
    ];
    for row in rows {
        assert_eq!(parse(row.as_bytes()), None, "{row:.80}");
    }
}

#[test]
fn headers_are_read_whatever_their_letters_and_their_order() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let (found, lines) = read(&[
        ("TraceState", "b=2"),
        ("Traceparent", &parent),
        ("accept", "x"),
        ("tracestate", "a=1"),
    ]);
    assert_eq!(found, Some(given()));
    let expected = format!("tracestate: b=2,a=1\r\ntraceparent: {parent}\r\n");
    assert_eq!(lines, expected);
}

#[test]
fn two_parents_are_none_and_a_state_without_a_parent_goes_nowhere() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let pair = ("traceparent", parent.as_str());
    let nothing = (None, String::new());
    assert_eq!(read(&[pair, pair]), nothing);
    assert_eq!(read(&[("tracestate", "a=1")]), nothing);
    let wrong = [("traceparent", "00-1-2-3"), ("tracestate", "a=1")];
    assert_eq!(read(&wrong), nothing);
    assert_eq!(
        read(&[("x-traceparent", &parent), ("trace-parent", &parent)]),
        nothing
    );
}

#[test]
fn a_state_is_handed_on_as_it_came_or_not_at_all() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let members = |count: usize| {
        let one = (0..count).map(|at| format!("k{at}=v"));
        one.collect::<Vec<_>>().join(",")
    };
    let filled = |len: usize| format!("k={}", "v".repeat(len - 2));
    // Two members of 250 bytes, and one that fills up.
    let long = |len: usize| {
        let second = filled(250).replacen('k', "l", 1);
        let third = filled(len - 502).replacen('k', "m", 1);
        format!("{},{second},{third}", filled(250))
    };
    let cases = [
        ("a=1".to_owned(), true),
        ("a=1 , b=2,,c=3".to_owned(), true),
        ("fw529a3039@dt=FfhKc; x:y".to_owned(), true),
        ("0abc_-*/@z=!~".to_owned(), true),
        (members(MEMBERS_MAX), true),
        (members(MEMBERS_MAX + 1), false),
        (long(STATE_MAX), true),
        (long(STATE_MAX + 1), false),
        ("a=".to_owned() + &"v".repeat(257), false),
        (String::new(), false),
        (",,".to_owned(), false),
        ("a".to_owned(), false),
        ("a=".to_owned(), false),
        ("=1".to_owned(), false),
        ("A=1".to_owned(), false),
        ("@a=1".to_owned(), false),
        ("a b=1".to_owned(), false),
        ("a=1,a=2".to_owned(), false),
        ("a=1=2".to_owned(), false),
        ("a=\u{e9}".to_owned(), false),
        ("a=\u{7f}".to_owned(), false),
        ("a=1\tb".to_owned(), false),
    ];
    for (state, passes) in cases {
        let (found, lines) = read(&[("traceparent", &parent), ("tracestate", &state)]);
        assert_eq!(found, Some(given()), "the trace goes on: {state:.60}");
        let first = if passes {
            format!("tracestate: {state}\r\n")
        } else {
            String::new()
        };
        assert_eq!(
            lines,
            format!("{first}traceparent: {parent}\r\n"),
            "{state:.60}"
        );
    }
}

#[test]
fn a_caller_s_trace_goes_on_and_without_one_a_trace_begins() {
    let mut draws = 10..;
    let mut draw = || draws.next().unwrap_or_default();
    let caller = Parent {
        flags: 0xff,
        ..given()
    };
    let known = Context::open(Some(caller), &mut draw, |_| false);
    assert_eq!((known.trace, known.parent), (caller.trace, caller.span));
    assert_eq!(known.flags, 3, "of flags nobody knows nothing is said");
    assert_ne!(known.span, caller.span);
    let new = Context::open(None, &mut draw, |_| true);
    assert_eq!(new.parent, 0);
    assert!(new.trace != 0 && new.span != 0 && new.is_sampled());
    assert!(!Context::open(None, draw, |_| false).is_sampled());
}

proptest! {
    // What an attempt sends is a context again, of its own span.
    #[test]
    fn what_is_sent_is_read_back(
        trace in 1_u128..,
        draw: u64,
        number in 0_u64..100,
        flags in 0..2_u8,
    ) {
        let context = Context { trace, parent: 0, span: 1, flags };
        let mut line = b"x-request-id: 1\r\n".to_vec();
        context.push_line(&mut line);
        let span = super::span_base(draw) + number;
        fill(&mut line, span);
        let text = String::from_utf8(line).unwrap();
        let value = text.strip_prefix("x-request-id: 1\r\ntraceparent: ").unwrap();
        let value = value.strip_suffix("\r\n").unwrap();
        let sampled = flags & SAMPLED;
        prop_assert_eq!(parse(value.as_bytes()), Some(Parent { trace, span, flags: sampled }));
    }

    // Whatever bytes come, reading them ends, and only whole lines of ours are handed on: what a
    // caller wrote is in them when it is harmless, else not at all.
    #[test]
    fn no_bytes_break_it(values in proptest::collection::vec(said(), 0..5), tracing: bool) {
        let names: [&[u8]; 2] = [b"traceparent", b"tracestate"];
        let headers = values.iter();
        let headers =
            headers.map(|(state, value)| (names[usize::from(*state)], value.as_slice()));
        let mut out = Vec::new();
        let carried = Carried::read(headers, &mut out);
        let state = out.clone();
        let mut draws = 1..;
        let mut draw = || draws.next().unwrap_or_default();
        if tracing {
            Context::open(carried.parent, &mut draw, |_| true).push_line(&mut out);
            fill(&mut out, 7);
        } else {
            carried.push_line(&mut out);
        }
        harmless(&out)?;
        let lines = String::from_utf8(out).unwrap();
        let parent = lines.lines().find_map(|line| line.strip_prefix("traceparent: "));
        prop_assert_eq!(parent.is_some(), tracing || carried.parent.is_some());
        if let Some(parent) = parent {
            let told = parse(parent.as_bytes());
            prop_assert!(parent.len() == 55 && parent.starts_with("00-"), "{}", parent);
            prop_assert!(told.is_some(), "{}", parent);
            if let (Some(told), Some(given)) = (told, carried.parent) {
                prop_assert_eq!(told.trace, given.trace);
            }
        }
        // A state without its parent is nobody's; what is told is read again as it was told.
        prop_assert!(state.is_empty() || carried.parent.is_some());
        prop_assert!(state.len() <= STATE_MAX + 14);
        if let Some(list) = lines.lines().find_map(|line| line.strip_prefix("tracestate: ")) {
            let (_, again) = read(&[
                ("traceparent", &format!("00-{TRACE}-{SPAN}-01")),
                ("tracestate", list),
            ]);
            prop_assert_eq!(again.lines().next(), lines.lines().next());
        }
    }
}

/// Lines of printable ASCII, each with its end and with a name of ours.
fn harmless(out: &[u8]) -> Result<(), TestCaseError> {
    let mut lines = out.split_inclusive(|byte| *byte == b'\n');
    lines.try_for_each(|line| {
        let text = line.strip_suffix(b"\r\n").unwrap_or(b"\0");
        prop_assert!(text.iter().all(|byte| matches!(byte, b' '..=b'~')));
        let own = [&b"traceparent: "[..], b"tracestate: "];
        prop_assert!(own.iter().any(|name| text.starts_with(name)));
        Ok(())
    })
}

/// A header, `true` for a `tracestate`: of any bytes, or of a good one that was hurt.
fn said() -> impl Strategy<Value = (bool, Vec<u8>)> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..700);
    let good = prop_oneof![
        Just(format!("00-{TRACE}-{SPAN}-01")),
        Just(format!("cc-{TRACE}-{SPAN}-09-what the future is like")),
        "[a-z0-9]{1,8}=[!-+:-<>-~]{1,30}(,[a-z0-9]{1,9}@[a-z]{1,3}=[ -+]{0,9}[!-+]){0,40}",
    ];
    // From 0 to 3 places get another byte, and as often none: then it is whole.
    let hurt = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let hurt = (good, hurt).prop_map(|(good, hurt)| {
        let mut bytes = good.into_bytes();
        for (place, byte) in hurt {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    (any::<bool>(), any::<bool>(), prop_oneof![bytes, hurt]).prop_map(|(state, sure, value)| {
        // Mostly under the name it was made for.
        let made_for = value.contains(&b'=');
        (if sure { made_for } else { state }, value)
    })
}
