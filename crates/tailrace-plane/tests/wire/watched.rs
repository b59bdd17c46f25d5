//! What is said of requests: metrics that no input can multiply, exemplars, and a log with one line
//! for each request (req 12.1, RELIABILITY S21, S22, S23).

use crate::client::{get, Client};
use crate::counts::count;
use crate::patience::{eventually, now};
use crate::service::{strong, Running, Service};
use crate::upstream::{answer, Step, Upstream};
use serde_json::{json, Value};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A file of this test's own, gone with it.
struct LogFile(PathBuf);

impl LogFile {
    fn new(name: &str) -> Self {
        let file = format!("tailrace-{name}-{}.log", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::remove_file(&path).ok(); // of a run that was killed
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap_or_default()
    }

    /// Its lines once there are so many.
    fn lines(&self, expected: usize) -> Vec<String> {
        eventually("all lines are written", || {
            self.text().matches('\n').count() >= expected
        });
        self.text().lines().map(str::to_owned).collect()
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Every series of a scrape, without its value.
fn series(plane: &Running) -> HashSet<String> {
    let text = String::from_utf8(plane.metrics()).expect("metrics are text");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.rsplit_once(' ').expect("a value").0.to_owned();
    lines.map(name).collect()
}

fn word(random: &mut fastrand::Rng) -> String {
    let length = random.usize(1..24);
    (0..length).map(|_| random.alphanumeric()).collect()
}

/// One random request; `true` when the plane keeps the connection after it.
fn any_request(index: usize, random: &mut fastrand::Rng) -> (String, bool) {
    let (one, other) = (word(random), word(random));
    match index % 10 {
        0 => (get(&format!("/one/{}", 200 + index / 10 % 60 * 7)), true),
        1 => (get(&format!("/{one}/{other}?{other}={one}")), true),
        2 => (format!("{one} /one/200 HTTP/1.1\r\nHost: a\r\n\r\n"), true),
        3 => (format!("{one} /{other} HTTP/1.1\r\nHost: a\r\n\r\n"), true),
        4 => (
            format!("GET /one/200 HTTP/1.1\r\nHost: {one}.{other}\r\n\r\n"),
            true,
        ),
        5 => (
            format!(
                "GET /one/200 HTTP/1.1\r\nHost: a\r\nX-Tenant: {one}\r\nPriority: {other}\r\n\r\n"
            ),
            true,
        ),
        6 => (
            format!("DELETE /one/{one} HTTP/1.1\r\nHost: a\r\n\r\n"),
            true,
        ),
        7 => (format!("OPTIONS /{one} HTTP/1.1\r\nHost: a\r\n\r\n"), true),
        8 => (
            format!("GET /one/{one}%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
            true,
        ),
        _ => (format!("GET /{one} HTTP/9.9\r\nX: {other}\r\n\r\n"), false),
    }
}

// RELIABILITY S23: random methods, paths, hosts, tenants and statuses of upstreams.
#[test]
fn no_request_makes_a_new_series() {
    let upstream = Upstream::start(|seen| {
        let status = seen
            .target()
            .rsplit('/')
            .next()
            .map(str::to_owned)
            .unwrap_or_default();
        let status = if status.parse::<u16>().is_ok() {
            status
        } else {
            "200".to_owned()
        };
        vec![Step::Send(answer(
            &format!("{status} X"),
            "application/json",
            "{\"id\":\"x\"}",
        ))]
    });
    let plane = Service::one(&upstream).start();
    let mut random = fastrand::Rng::with_seed(23);
    let inputs = count(3_000, 100_000);
    let mut half = HashSet::new();
    let mut client = plane.client();
    for index in 0..inputs {
        if index == inputs / 2 {
            half = series(&plane);
        }
        let (request, keeps) = any_request(index, &mut random);
        client.send(request);
        let closes = client.reply().closes();
        if closes || !keeps {
            client = plane.client();
        }
    }
    let whole = series(&plane);
    let new: Vec<_> = whole.difference(&half).collect();
    assert_eq!(new, Vec::<&String>::new());
    assert!(whole.len() <= 5_000, "{} series", whole.len());
    assert!(plane.metric("tailrace_metrics_dropped_series", "").abs() < f64::EPSILON);
    println!(
        "S23: {inputs} random inputs, {} series half-way, {} at the end, at most 5000",
        half.len(),
        whole.len()
    );
}

/// A scrape that asks for a format.
fn scrape(plane: &Running, accept: &str) -> (String, String) {
    let mut client = Client::connect(plane.admin_address());
    client.send(format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"
    ));
    let reply = client.reply();
    let kind = reply.header("content-type").unwrap_or_default().to_owned();
    (kind, String::from_utf8(reply.body).expect("text"))
}

// req 12.1: the format is the reader's choice, and OpenMetrics names a request beside its bucket.
#[test]
fn a_bucket_shows_the_request_that_was_in_it() {
    let upstream = Upstream::echo();
    let file = LogFile::new("exemplars");
    let log = json!({"format": "json", "path": file.path()});
    let plane = Service::one(&upstream).access_log(log).start();
    let mut client = plane.client();
    client.send("GET /one/7 HTTP/1.1\r\nHost: a\r\nX-Request-Id: shown-1\r\n\r\n");
    assert_eq!(client.reply().status, 200);
    file.lines(1);
    let open = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    eventually("the exemplar is there", || {
        scrape(&plane, open)
            .1
            .contains("# {request_id=\"shown-1\"} ")
    });
    let (kind, text) = scrape(&plane, open);
    assert!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        "{kind}"
    );
    assert!(text.ends_with("# EOF\n"));
    let named = text
        .lines()
        .find(|line| line.contains("shown-1"))
        .expect("it is there");
    let series = "http_server_request_duration_seconds_bucket{view=\"one\",\
        http_route=\"/one/{id}\",http_request_method=\"GET\",\
        http_response_status_code=\"200\",url_scheme=\"http\",le=";
    assert!(named.starts_with(series), "{named}");
    let (kind, text) = scrape(&plane, "*/*");
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(!text.contains("shown-1") && !text.contains("# EOF") && !text.contains("# UNIT"));
    assert!(text.contains("# TYPE tailrace_requests_total counter\n"));
}

// req 7.3: whether buffers come from the pool is a number.
#[test]
fn the_pool_of_buffers_is_counted() {
    let upstream = Upstream::echo();
    let plane = Service::one(&upstream).start();
    let mut client = plane.client();
    for _ in 0..20 {
        assert_eq!(client.get("/one/7").status, 200);
    }
    // The connection of this client, at least.
    assert!(plane.counter("tailrace_tasks", "") >= 1);
    let hits = plane.counter("tailrace_buffer_pool_hits_total", "");
    let misses = plane.counter("tailrace_buffer_pool_misses_total", "");
    assert!(misses > 0 && hits > misses, "{hits} hits, {misses} misses");
}

// req 12.1: what callers got adds up, and nothing is counted twice.
#[test]
fn replies_are_complete_degraded_failed_or_rejected() {
    let upstream = Upstream::start(|seen| {
        let status = seen
            .target()
            .rsplit('/')
            .next()
            .map(str::to_owned)
            .unwrap_or_default();
        vec![Step::Send(answer(
            &format!("{status} X"),
            "application/json",
            "{\"id\":\"x\"}",
        ))]
    });
    let weak = crate::service::weak("extra", "/{id}");
    let plane = Service::new()
        .upstream("up", &upstream)
        .view("strong", "/strong/{id}", vec![strong("it", "/{id}")])
        .view("weak", "/weak/{id}", vec![weak])
        .start();
    for target in [
        "/strong/200",
        "/strong/200",
        "/strong/500",
        "/strong/404",
        "/weak/200",
        "/weak/500",
        "/weak/500",
    ] {
        plane.get(target);
    }
    for (view, outcome, expected) in [
        ("strong", "complete", 2),
        ("strong", "degraded", 0),
        ("strong", "failed", 1),
        ("strong", "rejected", 1),
        ("weak", "complete", 1),
        ("weak", "degraded", 2),
        ("weak", "failed", 0),
    ] {
        let labels = format!("view=\"{view}\" outcome=\"{outcome}\"");
        assert_eq!(
            plane.counter("tailrace_replies_total", &labels),
            expected,
            "{labels}"
        );
    }
    let count = "http_server_request_duration_seconds_count";
    assert_eq!(
        plane.counter(count, "view=\"strong\" error_type=\"502\""),
        1
    );
    let attempts = "http_client_request_duration_seconds_count";
    assert_eq!(plane.counter(attempts, "error_type=\"500\""), 3);
    assert_eq!(
        plane.counter(attempts, "http_response_status_code=\"200\""),
        3
    );
}

/// Texts that would like to be something else in a log.
fn hostile() -> Vec<String> {
    let controls = (0..=0x9f_u32).filter_map(char::from_u32);
    let controls = controls.filter(|char| char.is_control());
    let mut found: Vec<String> = controls.map(|char| format!("a{char}b")).collect();
    for text in [
        "\u{2028}",
        "\u{202e}",
        "\u{1b}[2J",
        "\u{9b}2J",
        "\u{feff}",
        "%0a",
        "%0d%0a",
        "%1b[2J",
        "%e2%80%a8",
        "\"}",
        "\\n",
        "\\u000a",
        "x\"} {\"status\":200",
        "%00",
        "a;b",
        "=cmd|x",
        "id=\"x\"",
    ] {
        found.extend((1..=4).map(|times| text.repeat(times)));
    }
    found
}

/// The text as a path of the view, as another, and as a header of each kind.
fn requests(text: &str) -> [String; 4] {
    let end = "Host: a\r\nConnection: close\r\n";
    [
        format!("GET /one/{text} HTTP/1.1\r\n{end}\r\n"),
        format!("GET /{text} HTTP/1.1\r\n{end}\r\n"),
        format!("GET /one/7 HTTP/1.1\r\n{end}X-Request-Id: {text}\r\n\r\n"),
        format!("GET /one/7?{text} HTTP/1.1\r\n{end}User-Agent: {text}\r\n\r\n"),
    ]
}

// RELIABILITY S21: as many lines as requests, whatever their paths and headers are.
#[test]
fn a_log_has_as_many_lines_as_requests() {
    let upstream = Upstream::echo();
    let harmful = |char: char| char.is_control() || "\u{2028}\u{202e}\u{feff}".contains(char);
    for format in ["json", "text"] {
        let file = LogFile::new(&format!("hostile-{format}"));
        let log = json!({"format": format, "path": file.path()});
        let plane = Service::one(&upstream).access_log(log).start();
        let all: Vec<String> = hostile().iter().flat_map(|text| requests(text)).collect();
        assert!(all.len() >= 500, "{}", all.len());
        for request in &all {
            let mut client = plane.client();
            client.send_lossy(request);
            let reply = client.reply();
            assert!(
                matches!(reply.status, 200 | 400..=499),
                "{request:?}: {reply:?}"
            );
        }
        assert!(plane.end());
        let lines = file.lines(all.len());
        assert_eq!(lines.len(), all.len(), "{format}");
        for line in &lines {
            assert!(!line.contains(harmful), "{line:?}");
            if format == "json" {
                let parsed: Value = serde_json::from_str(line).expect(line);
                assert!(parsed["status"].is_u64() && parsed["method"].is_string());
            }
        }
        println!(
            "S21: {} requests, {} lines of {format}, 0 raw control characters",
            all.len(),
            lines.len()
        );
    }
}

// req 12.1: what a scrape of a large service with eight workers takes, for people to read; how fast
// a machine is decides no test.
#[test]
fn a_scrape_of_eight_workers_is_whole() {
    let upstreams: Vec<_> = (0..8).map(|_| Upstream::echo()).collect();
    let mut service = Service::new().workers(8);
    for (index, upstream) in upstreams.iter().enumerate() {
        service = service.upstream(&format!("up{index}"), upstream);
    }
    for view in 0..20 {
        let part = |index: usize| {
            let part = strong(&format!("part{index}"), "/one/{id}");
            crate::service::with(part, json!({"upstream": format!("up{index}")}))
        };
        let parts = (0..6).map(part).collect();
        service = service.view(
            &format!("view{view}"),
            &format!("/view{view}/{{id}}"),
            parts,
        );
    }
    let plane = service.start();
    let mut client = plane.client();
    for view in 0..20 {
        assert_eq!(client.get(&format!("/view{view}/7")).status, 200);
        client.get(&format!("/view{view}/{}", "x".repeat(400)));
    }
    let mut taken: Vec<f64> = (0..50)
        .map(|_| {
            let started = now();
            let (_, text) = scrape(&plane, "application/openmetrics-text");
            assert!(text.ends_with("# EOF\n"));
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    taken.sort_by(f64::total_cmp);
    let size = scrape(&plane, "application/openmetrics-text").1.len();
    println!(
        "scrape: 8 workers, {} series, {} KiB: median {:.1} ms, slowest of 50 {:.1} ms",
        series(&plane).len(),
        size / 1024,
        taken[25],
        taken[49]
    );
}
