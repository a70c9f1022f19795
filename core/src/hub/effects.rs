//! What the hub asks its shell to do.

use super::{
    CommandProgress, DeletionOrdered, Event, ExportId, PauseOrdered, ReceiptsTaken, Reconciliation, Refused,
};
use crate::bundle::Header;
use crate::desired::Signature;
use crate::ids::{ClusterId, RejoinSerial};
use crate::session::frame::HubFrame;
use crate::session::hub::{HubClosing, SessionId};
use crate::store::StoreOp;
use crate::time::WallTime;

/// Names a request until its last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What one input leads to, in the order in which it is carried out.
#[derive(Debug, Default)]
#[must_use = "effects that are not carried out are lost"]
pub struct Effects {
    /// One transaction, durable before anything else.
    pub ops: Vec<StoreOp>,
    /// Frames, in order.
    pub frames: Vec<(SessionId, HubFrame)>,
    /// Streams to end after those frames; the shell then says `Closed`.
    pub close: Vec<(SessionId, HubClosing)>,
    /// Answers to requests.
    pub replies: Vec<(Ticket, Result<Reply, Refused>)>,
    /// For logs and for those who follow events.
    pub events: Vec<Event>,
    /// The apps' sources changed: [`super::HubMachine::sources`] says what has to be rendered.
    pub sources_changed: bool,
    /// A rendering named a release that is not in the store: everything has to be rendered anew, with its content.
    pub render_anew: bool,
}

/// A good answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A cluster was added, or may join again.
    Added {
        /// Its UUID.
        cluster: ClusterId,
        /// Until when its token holds.
        expires: WallTime,
        /// Which of its joins the token is for.
        rejoin: RejoinSerial,
    },
    /// A cluster was revoked.
    Revoked {
        /// Its UUID.
        cluster: ClusterId,
        /// Whether a live stream was cut.
        was_connected: bool,
    },
    /// An agent's token was used up; it may have its certificate.
    Enrolled {
        /// Its cluster.
        cluster: ClusterId,
    },
    /// Hub and agent, side by side.
    Reconciled(Reconciliation),
    /// A bundle was begun.
    Exporting {
        /// Names it from now on.
        id: ExportId,
        /// What it is of.
        header: Box<Header>,
    },
    /// The next frames of a bundle; none when it is whole.
    Exported(Vec<HubFrame>),
    /// That somebody still reads a bundle, or nobody any more.
    Noted,
    /// The hub's word for a bundle.
    Sealed(Signature),
    /// Receipts were taken.
    Received(ReceiptsTaken),
    /// The deletion of an app was ordered.
    DeletionOrdered(DeletionOrdered),
    /// A pause was ordered, or its end.
    PauseOrdered(PauseOrdered),
    /// A command moved on; the last has a final state.
    Command(CommandProgress),
}
