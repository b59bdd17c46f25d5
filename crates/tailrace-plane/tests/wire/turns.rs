//! How a loop that waits in the plane is woken.

use crate::bridge::{bridge, end, reply, service};
use crate::client::get;
use crate::patience::eventually;
use crate::upstream::Upstream;
use serde_json::json;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tailrace_plane::bridge::Event;

/// A loop that waits in the plane is woken by a request while it sleeps, needs no wake-up for what
/// came before, and hears of what else it watches.
#[test]
fn a_turn_ends_when_something_is_there() {
    let upstream = Upstream::echo();
    let plane = service(&upstream, json!({})).start();
    let bridge = bridge(&plane);
    let (mut writes, watched) = UnixStream::pair().expect("a pair of sockets");
    let long = Some(Duration::from_secs(60));
    let (taken, ready) = bridge.turn(Some(Duration::ZERO), watched.as_fd());
    assert!(taken.events.is_empty() && !ready);
    let mut client = plane.client();
    let first = std::thread::scope(|scope| {
        let waits = scope.spawn(|| bridge.turn(long, watched.as_fd()).0.events);
        client.send(get("/h/1"));
        waits.join().expect("a turn")
    });
    let [Event::Start(start)] = first.as_slice() else {
        panic!("no start: {first:?}");
    };
    // While nobody sleeps nothing rings, and what waits is there in the next turn all the same.
    let mut other = plane.client();
    other.send(get("/h/2"));
    eventually("the second waits", || bridge.waiting().0 > 0);
    let (second, ready) = bridge.turn(long, watched.as_fd());
    assert!(matches!(second.events.as_slice(), [Event::Start(_)]) && !ready);
    end(&bridge, start, reply("1"));
    assert_eq!(client.reply().status, 200);
    writes.write_all(b"x").expect("room for a byte");
    let (taken, ready) = bridge.turn(long, watched.as_fd());
    assert!(taken.events.is_empty() && ready);
}
