use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn asked(by: &str) -> StopCause {
    StopCause::Asked { by: by.to_owned() }
}

#[tokio::test]
async fn an_error_of_a_needed_task_stops_the_process_and_names_the_task() {
    let supervisor = Supervisor::new();
    supervisor.spawn("store", async { Err("disk full") });
    let cause = supervisor.stopped().await;
    assert_eq!(cause, StopCause::TaskFailed { task: "store".to_owned(), error: "disk full".to_owned() });
    assert!(supervisor.stopping().is_cancelled());
}

#[tokio::test]
async fn a_panic_of_a_needed_task_stops_the_process_and_keeps_its_words() {
    let supervisor = Supervisor::new();
    supervisor.spawn::<_, Infallible>("link", async { panic!("frame {}", 3) });
    let cause = supervisor.stopped().await;
    assert_eq!(
        cause,
        StopCause::TaskFailed { task: "link".to_owned(), error: "panicked: frame 3".to_owned() }
    );
}

#[tokio::test]
async fn a_failure_of_an_isolated_task_harms_nobody() {
    let supervisor = Supervisor::new();
    supervisor.spawn_isolated::<_, Infallible>("session", async { panic!("one peer") });
    supervisor.spawn_isolated("session", async { Err("reset") });
    supervisor.join_all(Duration::from_secs(5)).await.unwrap();
    assert!(!supervisor.stopping().is_cancelled());
    assert!(supervisor.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restarting_task_runs_again_until_it_succeeds() {
    let supervisor = Supervisor::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    supervisor.spawn_restarting("watch", RestartPolicy::default(), move || {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move { if run < 3 { Err(format!("run {run}")) } else { Ok(()) } }
    });
    supervisor.join_all(Duration::from_mins(1)).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 4);
    assert!(!supervisor.stopping().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_restarting_task_ends_when_the_process_stops_during_its_pause() {
    let supervisor = Supervisor::new();
    let hour = Duration::from_hours(1);
    let policy = RestartPolicy { pauses: Backoff::new(hour, hour), ..RestartPolicy::default() };
    supervisor.spawn_restarting("watch", policy, || async { Err("no server") });
    tokio::task::yield_now().await;
    supervisor.stop(asked("test"));
    supervisor.join_all(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_end_is_named_and_aborted() {
    let supervisor = Supervisor::new();
    supervisor.spawn::<_, Infallible>("stuck", std::future::pending());
    supervisor.spawn::<_, Infallible>("good", {
        let stopping = supervisor.stopping();
        async move {
            stopping.cancelled().await;
            Ok(())
        }
    });
    supervisor.stop(asked("test"));
    let unfinished = supervisor.join_all(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(unfinished.names, ["stuck"]);
    supervisor.join_all(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test]
async fn the_first_cause_counts() {
    let supervisor = Supervisor::new();
    supervisor.stop(asked("first"));
    supervisor.stop(asked("second"));
    assert_eq!(supervisor.stopped().await, asked("first"));
}
