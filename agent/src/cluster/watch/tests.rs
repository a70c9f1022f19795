use argosy_core::key::GroupKind;
use bytes::Bytes;
use futures::stream;

use super::*;
use crate::cluster::judge::Judge;

fn over(chunks: Vec<Result<&'static str, &'static str>>) -> EventStream {
    let chunks = chunks.into_iter().map(|chunk| chunk.map(Bytes::from).map_err(str::to_owned));
    EventStream::over(
        stream::iter(chunks),
        Watched::Kind(GroupKind::new("", "ConfigMap")),
        Judge::new(None),
        7,
        LIFETIME,
    )
}

const ADDED: &str = r#"{"type":"ADDED","object":{"kind":"PartialObjectMetadata","metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"9","labels":{"argosy.dev/managed":"true"}}}}"#;

#[tokio::test]
async fn events_are_read_whatever_the_chunks() {
    let (first, second) = ADDED.split_at(40);
    let mut stream = over(vec![
        Ok(first),
        Ok(second),
        Ok("\n\n{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"12\"}}}\n"),
    ]);
    assert!(
        matches!(stream.next().await, Item::Event(event) if matches!(&*event, WatchEvent::Seen(live) if live.labelled && live.resource_version == 9))
    );
    assert_eq!(stream.next().await, Item::Bookmark);
    assert_eq!(stream.next().await, Item::Ended { at: 12 });
}

#[tokio::test]
async fn a_deleted_object_is_gone() {
    let mut stream = over(vec![
        Ok(
            r#"{"type":"DELETED","object":{"metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"9"}}}"#,
        ),
        Ok("\n"),
        Err("reset"),
    ]);
    assert!(
        matches!(stream.next().await, Item::Event(event) if matches!(&*event, WatchEvent::Gone(key) if key.to_string() == "/ConfigMap/n/a"))
    );
    assert_eq!(stream.next().await, Item::Ended { at: 9 });
}

#[tokio::test]
async fn an_expired_version_is_told_from_other_errors() {
    let mut stream = over(vec![Ok(
        "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n",
    )]);
    assert_eq!(stream.next().await, Item::Expired);
    let mut stream = over(vec![Ok(
        "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500,\"message\":\"x\"}}\n",
    )]);
    assert!(matches!(stream.next().await, Item::Failed(ApiError::Unavailable { .. })));
}

#[tokio::test]
async fn a_watch_that_says_nothing_and_what_cannot_be_read_are_failures() {
    for chunks in [
        vec![],
        vec![Err("reset")],
        vec![Ok("{\"type\":\"ADDED\"")],
        vec![Ok("nonsense\n")],
        vec![Ok(
            "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"9\"}}}\n",
        )],
        vec![Ok("{\"type\":\"RENAMED\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n")],
        vec![Ok("{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}\n")],
    ] {
        assert!(matches!(over(chunks).next().await, Item::Failed(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_given_up_some_time_after_it_should_have_ended() {
    let chunks = stream::pending::<Result<Bytes, String>>();
    let mut stream = EventStream::over(
        chunks,
        Watched::Kind(GroupKind::new("", "ConfigMap")),
        Judge::new(None),
        7,
        LIFETIME,
    );
    let began = Instant::now();
    assert!(matches!(stream.next().await, Item::Failed(_)));
    assert!(began.elapsed() > LIFETIME && began.elapsed() < LIFETIME * 2);
}
