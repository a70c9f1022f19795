//! Documents that somebody orders an app to bring (Argo CD: `app sync` of an app of apps).
//!
//! An app that does not bring them by itself, or not now, brings what it rendered when somebody asked for that, whatever it
//! renders since: that is durable. Once it brings them by itself, the order is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::{Decode, Encode};

use super::growth::{Growth, Taken};
use super::split::Document;
use super::standing::Good;
use crate::application::Application;
use crate::ids::{AppId, Digest};
use crate::key::ResourceKey;
use crate::release::{Release, Root};
use crate::session::tables::put_release;
use crate::status::SyncStatus;
use crate::store::StoreError;
use crate::windows::{Asked, Passage, Windows};

/// Asks for the documents of an app as it renders them now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which app.
    pub app: AppId,
    /// Lets go of what it brought and does not render any more.
    pub prune: bool,
}

/// What an app was ordered to bring.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Ordered {
    /// The release that holds the documents as it rendered them then, and nothing else.
    #[n(0)]
    pub(super) documents: Root,
    /// What it did not render any more then is let go of.
    #[n(1)]
    pub(super) prune: bool,
    /// The commit that it was rendered from.
    #[n(2)]
    pub(super) commit: String,
}

/// Gives the release that holds documents and nothing else.
fn release_of(documents: &[Document]) -> Release {
    Release::build(documents.iter().map(|document| (document.key.clone(), document.digest))).0
}

// === impl Growth ===

impl Growth<'_> {
    /// Takes what an app renders.
    pub(super) fn take(
        &mut self,
        app: &AppId,
        application: &Application,
        good: &Good,
    ) -> Result<(), StoreError> {
        let known = self.known(app)?;
        let documents = &good.split.documents;
        let ordered = self.ordered(app, application, good);
        if documents.is_empty() && known.is_empty() && ordered.is_none() {
            return Ok(());
        }
        self.visited.insert(app.clone());
        self.families.entry(app.clone()).or_default();
        let Some(still) = &good.still else {
            let prune = self.is_ordered(app) && ordered.is_some_and(|ordered| ordered.prune);
            self.bring(app, application, good, &known, Taken { documents, prune, ordered: None });
            return Ok(());
        };
        let split = match &ordered {
            Some(ordered) if release_of(documents).root() == ordered.documents => {
                Some(Arc::clone(&good.split))
            }
            Some(ordered) => self.split(app, ordered.documents)?,
            None => None,
        };
        let (Some(ordered), Some(split)) = (&ordered, split) else {
            if let Some(lost) = &ordered {
                let message = format!(
                    "the hub lost release {}, which it was ordered to bring: what it brought stays; argosy app sync {app} \
                     orders what it renders now",
                    lost.documents
                );
                self.say(app, "ComparisonError", message);
            }
            self.stay(app, application, (documents, &known), still, ordered);
            return Ok(());
        };
        let words = format!("{}; what it brings is of commit {}", still.words(app), ordered.commit);
        let prune = ordered.prune;
        let taken = Taken { documents: &split.documents, prune, ordered: Some(ordered.clone()) };
        self.bring(app, application, good, &known, taken);
        self.outdated(app, &split.documents, documents, &words);
        Ok(())
    }

    /// Tells whether somebody orders an app's documents now.
    pub(super) fn is_ordered(&self, app: &AppId) -> bool {
        self.order.is_some_and(|order| order.app == *app)
    }

    /// Answers who orders an app's documents while it cannot be told what it renders, or what it renders counts for nothing.
    pub(super) fn refuse_order(&mut self, app: &AppId, why: &str) {
        if self.is_ordered(app) {
            self.answer = Some(Err(why.to_owned()));
        }
    }

    /// Gives what somebody ordered an app to bring: now, or before.
    fn ordered(&mut self, app: &AppId, application: &Application, good: &Good) -> Option<Ordered> {
        let earlier = self.before.known.get(app).and_then(|known| known.ordered.clone());
        let Some(order) = self.order.filter(|order| order.app == *app) else { return earlier };
        if let Some(why) = self.obstacle(application, good, order.prune) {
            self.answer = Some(Err(why));
            return earlier;
        }
        self.answer = Some(Ok(()));
        let release = release_of(&good.split.documents);
        let commit = self.families.get(app).and_then(|family| family.commit.clone()).unwrap_or_default();
        self.ops.push(put_release(&release));
        Some(Ordered { documents: release.root(), prune: order.prune, commit })
    }

    /// Says why documents are not taken though somebody asks for them.
    fn obstacle(&mut self, application: &Application, good: &Good, prune: bool) -> Option<String> {
        let allows_empty = application.policy.automated.is_some_and(|automated| automated.allow_empty);
        if prune && good.split.empty && !allows_empty {
            return Some(
                "it renders nothing at all any more, and spec.syncPolicy.automated.allowEmpty is not set: sync it without \
                 --prune, or take its own document out of the fleet, with its finalizer if what it brought is to go as well"
                    .to_owned(),
            );
        }
        match Windows::of(&good.limits.windows).passage(Some(self.at), Asked::ByOperator, None) {
            Passage::Open => None,
            Passage::Blocked(closed) => Some(format!(
                "sync windows of its project are closed ({}): wait until they open, or let people through with their \
                     manualSync",
                closed.join(", ")
            )),
        }
    }

    /// Tells how what was ordered differs from what is rendered now.
    fn outdated(&mut self, app: &AppId, ordered: &[Document], rendered: &[Document], words: &str) {
        let digests = |documents: &[Document]| -> BTreeMap<ResourceKey, Digest> {
            documents.iter().map(|document| (document.id(), document.digest)).collect()
        };
        let (then, now) = (digests(ordered), digests(rendered));
        // What no sync takes is told as such.
        let refusals: BTreeMap<ResourceKey, String> = rendered
            .iter()
            .filter_map(|document| Some((document.id(), format!("refused: {}", document.refusal()?))))
            .collect();
        let said = |key: &ResourceKey| refusals.get(key).map_or(words, String::as_str).to_owned();
        let family = self.families.entry(app.clone()).or_default();
        for row in family.rows.iter_mut().filter(|row| then.get(&row.key) != now.get(&row.key)) {
            row.status = SyncStatus::OutOfSync;
            row.requires_pruning = !now.contains_key(&row.key);
            row.message = said(&row.key);
        }
        for document in rendered.iter().filter(|document| !then.contains_key(&document.id())) {
            self.row(app, document, SyncStatus::OutOfSync, false, said(&document.id()));
        }
    }
}
