use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::supervisor::{StopCause, Supervisor};
use crate::telemetry;

struct Running {
    address: SocketAddr,
    admin: Admin,
    readiness: Readiness,
    supervisor: Supervisor,
}

async fn running(log: LogHandle) -> Running {
    let readiness = Readiness::new();
    let metrics = Metrics::of_process("argosy-test", "0.0.0", argosy_core::time::WallTime(0));
    let admin = Admin::new(readiness.clone(), metrics, log);
    let bound = admin.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, supervisor) = (bound.address(), Supervisor::new());
    supervisor.spawn("admin", bound.serve(supervisor.stopping()));
    Running { address, admin, readiness, supervisor }
}

/// Sends one request and gives status and body.
async fn ask(address: SocketAddr, method: &str, path: &str, host: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
    ask(address, "GET", path, "localhost", "").await
}

#[tokio::test]
async fn a_daemon_is_alive_before_it_is_ready_and_says_what_it_waits_for() {
    let (log, _subscriber) = telemetry::tests::detached("info");
    let running = running(log).await;
    let store = running.readiness.await_for("store");
    for (live, ready) in [("/livez", "/readyz"), ("/healthz/live", "/healthz/ready")] {
        assert_eq!(fetch(running.address, live).await.0, 200);
        assert_eq!(fetch(running.address, ready).await, (503, "waiting for: store\n".to_owned()));
    }
    drop(store);
    for ready in ["/readyz", "/healthz/ready"] {
        assert_eq!(fetch(running.address, ready).await.0, 200);
    }
}

#[tokio::test]
async fn connectivity_is_a_question_of_its_own() {
    let (log, _subscriber) = telemetry::tests::detached("info");
    let running = running(log).await;
    assert_eq!(fetch(running.address, "/connectivity").await.0, 503);
    assert_eq!(fetch(running.address, "/healthz/connected").await.0, 503);
    running
        .admin
        .set_connectivity(|| Connectivity { connected: true, detail: json!({"hub": "10.0.0.1:8443"}) });
    let (status, body) = fetch(running.address, "/connectivity").await;
    assert_eq!(status, 200);
    assert!(body.contains("10.0.0.1:8443"), "{body}");
    assert_eq!(fetch(running.address, "/readyz").await.0, 200);
}

#[tokio::test]
async fn metrics_and_state_are_served() {
    let (log, _subscriber) = telemetry::tests::detached("info");
    let running = running(log).await;
    running.admin.add_state("sessions", || json!([{"cluster": "east"}]));
    let (status, body) = fetch(running.address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(body.ends_with("# EOF\n"), "{body}");
    let (status, body) = fetch(running.address, "/debug/state").await;
    assert_eq!((status, body.as_str()), (200, r#"{"sessions":[{"cluster":"east"}]}"#));
}

#[tokio::test]
async fn the_log_filter_is_shown_and_changed() {
    let (log, _subscriber) = telemetry::tests::detached("info");
    let running = running(log).await;
    assert_eq!(fetch(running.address, "/log").await, (200, "info\n".to_owned()));
    assert_eq!(ask(running.address, "PUT", "/log", "localhost", "debug").await.0, 204);
    assert_eq!(fetch(running.address, "/log").await.1, "debug\n");
    let (status, body) = ask(running.address, "PUT", "/log", "localhost", "loud").await;
    assert_eq!(status, 400);
    assert!(body.contains("no level"), "{body}");
    assert_eq!(ask(running.address, "PUT", "/log", "localhost", &"x".repeat(5000)).await.0, 413);
}

#[tokio::test]
async fn a_name_that_is_not_this_machine_gets_no_state() {
    let (log, _subscriber) = telemetry::tests::detached("info");
    let running = running(log).await;
    assert_eq!(ask(running.address, "GET", "/debug/state", "evil.example", "").await.0, 403);
    assert_eq!(ask(running.address, "PUT", "/log", "evil.example:80", "trace").await.0, 403);
    assert_eq!(ask(running.address, "GET", "/debug/state", "127.0.0.1:80", "").await.0, 200);
    assert_eq!(ask(running.address, "GET", "/livez", "evil.example", "").await.0, 200);
}

#[tokio::test]
async fn it_ends_with_its_process() {
    let (log, _subscriber) = telemetry::tests::detached("info");
    let running = running(log).await;
    running.supervisor.stop(StopCause::Asked { by: "test".to_owned() });
    running.supervisor.join_all(std::time::Duration::from_secs(5)).await.unwrap();
}
