//! RELIABILITY S13: bodies that are too large, endless or lie about their length, many at once.
//! Each ends with a refusal and a closed connection, memory stays within what the limits add up to,
//! and no byte of a body is taken for a request.

use crate::client::{get, Client};
use crate::counts::count;
use crate::patience::eventually;
use crate::service::{strong, Service, ANY};
use crate::upstream::Upstream;
use serde_json::json;
use std::net::SocketAddr;

const MIB: usize = 1024 * 1024;
/// A view that reads past a body, and one that keeps it until all of it is there.
const VIEWS: [&str; 2] = ["/one/7", "/kept"];
/// A client gives up writing there; the plane has long answered.
const SENT_MAX: usize = 8 * MIB;

/// Head, what is sent again and again after it, and whether the plane must refuse. The others
/// break off: nobody is there to be answered.
type Case = (&'static str, String, Vec<u8>, bool);

fn cases(view: &str) -> Vec<Case> {
    let start = format!("POST {view} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n");
    let hidden = get("/one/canary").into_bytes();
    let filler = vec![b'x'; 64 * 1024];
    let chunked = format!("{start}Transfer-Encoding: chunked\r\n\r\n");
    let length = |text: &str| format!("{start}Content-Length: {text}\r\n\r\n");
    let chunk =
        |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let many = |bytes: &[u8]| bytes.repeat(64 * 1024 / bytes.len() + 1);
    let pipelined = many(&hidden);
    vec![
        (
            "one byte over",
            length(&(MIB + 1).to_string()),
            filler.clone(),
            true,
        ),
        ("ten gigabytes", length("10000000000"), filler.clone(), true),
        (
            "more than a u64",
            length("99999999999999999999999"),
            filler.clone(),
            true,
        ),
        ("negative", length("-1"), filler.clone(), true),
        (
            "requests as a body",
            length(&(2 * MIB).to_string()),
            pipelined.clone(),
            true,
        ),
        ("endless chunks", chunked.clone(), chunk(&filler), true),
        (
            "chunks of requests",
            chunked.clone(),
            chunk(&pipelined),
            true,
        ),
        (
            "chunks of a byte",
            chunked.clone(),
            many(&chunk(b"x")),
            true,
        ),
        (
            "one endless chunk",
            format!("{chunked}ffffffff\r\n"),
            filler.clone(),
            true,
        ),
        (
            "a chunk over a u64",
            format!("{chunked}fffffffffffffffff\r\n"),
            filler.clone(),
            true,
        ),
        (
            "endless extension",
            format!("{chunked}1;a=\""),
            filler.clone(),
            true,
        ),
        ("shorter than said", length("900000"), Vec::new(), false),
    ]
}

/// Plays a case, and checks how it ends.
fn attack(address: SocketAddr, (name, head, again, refused): &Case) {
    let mut client = Client::connect(address);
    client.send_lossy(head);
    let mut sent = 0;
    while !again.is_empty()
        && sent < SENT_MAX
        && std::io::Write::write_all(&mut client.stream(), again).is_ok()
    {
        sent += again.len();
    }
    if !refused {
        client.send_lossy("too few");
        return;
    }
    // A client that writes on after the reply may find a reset instead of it.
    let Ok(reply) = client.try_reply(false) else {
        return;
    };
    // Many at once may not get through a body in the time it has; that is a limit as well.
    assert!([400, 408, 413].contains(&reply.status), "{name}: {reply:?}");
    assert!(reply.closes(), "{name}: {reply:?}");
    assert!(client.rest().is_empty(), "{name}: more than one reply");
}

/// Resident memory of this process, the plane and the clients of this test alike.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or_default() * 4096
}

#[test]
fn large_bodies_are_refused_within_bounded_memory() {
    let parallel = count(40, 500);
    let upstream = Upstream::echo();
    let kept = json!({"method": "POST", "body": {"name": "any", "shape": ANY}});
    let plane = Service::one(&upstream)
        .view_with("kept", "/kept", vec![strong("it", "/kept")], kept)
        .workers(2)
        .start();
    let mut honest = plane.client();
    assert_eq!(honest.get("/one/7").status, 200);
    let address = plane.address();
    let base = resident();
    for view in VIEWS {
        let (cases, mut most) = (cases(view), base);
        for case in &cases {
            std::thread::scope(|scope| {
                for _ in 0..parallel {
                    scope.spawn(|| attack(address, case));
                }
                most = most.max(resident());
            });
            most = most.max(resident());
            // Who asks while the worker still digests so many may be told to come later (`shed`).
            eventually("an honest client is served", || {
                let reply = honest.get("/one/7");
                let served = reply.status == 200;
                assert!(
                    served || reply.code() == "shed",
                    "after {}: {reply:?}",
                    case.0
                );
                served
            });
        }
        eventually("every connection is closed", || plane.connections() == 1);
        let grown = most.saturating_sub(base);
        println!(
            "S13: {view}: {} cases x {parallel} at once: 0 requests out of a body, resident memory \
             grew by {} KiB at most, with {parallel} client threads",
            cases.len(),
            grown / 1024
        );
        // Other tests of this process run beside it, and their memory is counted too, as is what an
        // allocator keeps; half again was seen. Bodies held as far as they are sent would be eight
        // for one.
        assert!(grown < 2 * MIB * parallel + 96 * MIB, "{grown} bytes");
    }
    let honest = VIEWS.len() * cases(VIEWS[0]).len() + 1;
    assert_eq!(upstream.count(), honest, "a body became a request");
}
