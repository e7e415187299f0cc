//! The coverage ledger: what was asked, fetched and published. Times and counts, no values.
//!
//! ```text
//! request() ─ requested ─ begin_fetch() ─ fetching ─ fetched() ─ fetched ─┐ acknowledge() for every part of one run
//!                 ▲                                                       ▼
//!                 └──────── begun again after a crash             published: the window counts as covered
//! ```
//! A run cuts what it reads into parts, numbered from 0; `transform` may cut a part into pieces. A run is complete
//! when its number of parts is known and each part has all of its pieces acknowledged. Parts of different runs never
//! complete each other, because two runs may cut differently. Only a complete run moves anything.

use std::collections::BTreeMap;

use async_trait::async_trait;
use ohx_domain::{
    Counts, Instant, Interval, Intervals, LinkId, Query, Record, Request, RequestId, RequestState, RunId,
    SyncId, SyncReason,
};

use crate::Result;

/// A row to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// Its id, unless it is merged.
    pub id: RequestId,
    /// The sync it belongs to.
    pub sync: SyncId,
    /// Whose readings.
    pub link: LinkId,
    /// Which record.
    pub record: Record,
    /// What is asked.
    pub query: Query,
    /// Why.
    pub reason: SyncReason,
}

impl NewRequest {
    /// The row that it becomes.
    pub fn into_request(self, at: Instant) -> Request {
        Request {
            id: self.id,
            sync: self.sync,
            link: self.link,
            record: self.record,
            query: self.query,
            reason: self.reason,
            state: RequestState::Requested,
            note: None,
            attempts: 0,
            counts: Counts::default(),
            requested_at: at,
            updated_at: at,
        }
    }
}

/// What became of a new request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested {
    /// A row was added.
    Created,
    /// It was merged into a row of the same link, record and reason that nobody has begun: no further event is needed.
    Merged(RequestId),
}

/// One piece of a part has been accepted by the EHR, as far as it could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The request.
    pub request: RequestId,
    /// The run of it.
    pub run: RunId,
    /// Which part of the run, from 0.
    pub part: u32,
    /// Which piece of the part, from 0.
    pub piece: u32,
    /// How many pieces the part was cut into, at least 1.
    pub pieces: u32,
    /// What became of the resources.
    pub counts: Counts,
    /// What the mapping left out, by reason; no health values. Their sum is `counts.skipped`.
    pub skipped: BTreeMap<String, u64>,
    /// When the readings were taken that the EHR refused: each stays a hole of one second.
    pub holes: Vec<Instant>,
}

/// Where a request stands after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More is to come.
    Open,
    /// This step completed it.
    Completed,
    /// It had ended before, completed or given up: the step changed nothing.
    AlreadyDone,
    /// The ledger does not know it.
    Unknown,
}

/// What is known of one record of one link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The times whose readings are at the EHR.
    pub published: Intervals,
    /// The provider's clock up to which every change has been seen and published.
    pub cursor: Option<Instant>,
    /// Where the provider cannot say what changed: when the last nightly run began that read everything it wanted, by our
    /// clock. What was measured before and came later is behind it, and the next run begins an overlap before it.
    pub reread: Option<Instant>,
}

/// Which open requests to list.
#[derive(Debug, Clone, Default)]
pub struct OpenRequests {
    /// Only of this link.
    pub link: Option<LinkId>,
    /// Only those that have not moved since.
    pub idle_since: Option<Instant>,
    /// Only after this id.
    pub after: Option<RequestId>,
    /// At most so many, 1 to 1000.
    pub limit: u32,
}

/// Which requests of a record to list.
#[derive(Debug, Clone)]
pub struct RequestsOfRecord {
    /// Of this link.
    pub link: LinkId,
    /// Of this record.
    pub record: Record,
    /// Those that have to do with this span.
    pub within: Interval,
    /// At most so many, 1 to 1000.
    pub limit: u32,
}

/// The ledger.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Asks for something, or merges it into an equal request that nobody has begun: windows that overlap or touch
    /// become their union, "since" the earlier instant. (Only `Notification` requests are merged: that is the
    /// coalescing of bursts.)
    async fn request(&self, new: &NewRequest, now: Instant) -> Result<Requested>;

    /// One row.
    async fn request_by_id(&self, id: RequestId) -> Result<Option<Request>>;

    /// A run begins: counts an attempt, and from here on the row is not merged into. Gives the row as it now is;
    /// `None` where it is unknown or no longer open.
    async fn begin_fetch(&self, id: RequestId, now: Instant) -> Result<Option<Request>>;

    /// A run has read everything. `parts` may be 0: nothing was there. `until` is the provider's clock when the run began:
    /// coverage of a window is cut off there, because nothing can be known of later, and it
    /// becomes the cursor of a `Since` request once that is complete (never moving back, and only where `since` is not
    /// after the cursor: a gap must stay visible).
    async fn fetched(
        &self,
        id: RequestId,
        run: RunId,
        parts: u32,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<Progress>;

    /// One piece was published. Repetitions count once.
    async fn acknowledge(&self, ack: &Acknowledgement, now: Instant) -> Result<Progress>;

    /// Notes why a request is not getting on, without ending it.
    async fn note(&self, id: RequestId, note: &str, now: Instant) -> Result<()>;

    /// Gives a request up: its window stays a hole for the next nightly run.
    async fn fail(&self, id: RequestId, note: &str, now: Instant) -> Result<()>;

    /// What is covered. Empty where nothing is known.
    async fn coverage(&self, link: LinkId, record: &Record) -> Result<Coverage>;

    /// Sets the cursor if there is none: at the first connection, to the moment before it.
    async fn init_cursor(&self, link: LinkId, record: &Record, cursor: Instant) -> Result<()>;

    /// Open requests, by id.
    async fn open_requests(&self, filter: &OpenRequests) -> Result<Vec<Request>>;

    /// The requests of one record of a link that have to do with a span of time, the latest first: windows that overlap
    /// it, and every "since" that was asked after its start.
    async fn requests_of_record(&self, filter: &RequestsOfRecord) -> Result<Vec<Request>>;

    /// The requests of one sync, by id.
    async fn requests_of_sync(&self, sync: SyncId) -> Result<Vec<Request>>;

    /// What the mapping left out of a sync so far, by record and reason. Only records of which something was left out.
    async fn skips_of_sync(&self, sync: SyncId) -> Result<BTreeMap<Record, BTreeMap<String, u64>>>;

    /// Removes finished requests that ended before `before`; their coverage stays. Gives their number.
    async fn prune(&self, before: Instant) -> Result<u64>;
}
