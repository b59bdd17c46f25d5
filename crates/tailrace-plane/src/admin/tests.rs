use super::{connection, is_live, is_local_host, HEAD_WAIT};
use crate::shared::{Phase, Shared};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, Instant};

// RELIABILITY S24: a rebound name is not local.
#[test]
fn only_loopback_names_are_local() {
    for host in [
        "localhost",
        "LOCALHOST:9900",
        "127.0.0.1",
        "127.0.0.1:9900",
        "[::1]:9900",
    ] {
        assert!(is_local_host(Some(host.as_bytes())), "{host}");
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1:9900",
        "",
    ] {
        assert!(!is_local_host(Some(host.as_bytes())), "{host}");
    }
    assert!(!is_local_host(None));
}

const PROBE: &[u8] = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n";

// RELIABILITY S24: a probe waits for the places of slow senders no longer than one head may take.
#[tokio::test(start_paused = true)]
async fn a_head_has_one_time_however_slowly_its_bytes_come() {
    let shared = Shared::idle();
    for pause_ms in [10, 1_000, 4_900] {
        let (mut client, server) = tokio::io::duplex(4096);
        let started = Instant::now();
        let slow = async {
            // A path that goes on: nothing to refuse, and never complete.
            for byte in b"GET /".iter().chain(std::iter::repeat(&b'x')) {
                if client.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(pause_ms)).await;
            }
        };
        tokio::select! {
            () = slow => {}
            ended = connection(server, &shared, true) => assert!(ended.is_err()),
            () = sleep(2 * HEAD_WAIT) => panic!("a byte per {pause_ms} ms holds its place"),
        }
        assert!(started.elapsed() <= HEAD_WAIT + Duration::from_millis(1));
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_of_a_connection_has_a_time_of_its_own() {
    let shared = Shared::idle();
    let (mut client, server) = tokio::io::duplex(4096);
    let asking = async {
        for _ in 0..5 {
            sleep(HEAD_WAIT / 2).await;
            client.write_all(PROBE).await.unwrap();
            let mut reply = [0; 512];
            let count = client.read(&mut reply).await.unwrap();
            assert!(reply[..count].starts_with(b"HTTP/1.1 200 "));
        }
    };
    tokio::select! {
        () = asking => {}
        ended = connection(server, &shared, true) => panic!("it ended early: {ended:?}"),
    }
}

#[test]
fn a_worker_that_ended_on_its_own_makes_the_process_not_live() {
    let shared = Shared::idle();
    assert!(is_live(&shared));
    shared.advance(Phase::Draining);
    assert!(is_live(&shared), "draining is no reason to be killed");
    shared.workers_lost.fetch_add(1, Ordering::AcqRel);
    assert!(!is_live(&shared));
}
