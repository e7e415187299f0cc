//! How the API speaks, whatever it speaks of: versions, bodies and queries, pages, problems, keys of idempotency, ETags.

pub(crate) mod etag;
pub(crate) mod extract;
pub(crate) mod idempotency;
pub(crate) mod page;
pub(crate) mod problems;
pub(crate) mod version;

pub(crate) use extract::{InBody, InPath, InQuery};
pub(crate) use page::{Page, Paging};
