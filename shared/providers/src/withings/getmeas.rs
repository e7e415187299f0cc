//! Point measurements: weight, composition, blood pressure, pulse, temperature.

use ohx_domain::Query;

use super::call::Caller;
use super::list::{self, Listed, Shape};
use super::range;
use crate::{Page, PageToken, ProviderError};

/// Groups, each one act of measuring. The zone is the account's, one for all of them.
pub(super) const SHAPE: Shape =
    Shape { call: "measure getmeas", list: "measuregrps", head: &["updatetime", "timezone"], single: false };

/// Reads one page of real measurements (category 1; 2 would be the user's own objectives).
pub(super) async fn fetch(
    caller: &Caller<'_>,
    query: &Query,
    page: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    let range = range::seconds_or_changes(query);
    let mut form = vec![("action", "getmeas"), ("category", "1")];
    form.extend(range.iter().map(|(name, second)| (*name, second.as_str())));
    form.extend(page.map(|token| ("offset", token.0.as_str())));
    let answer = caller.post("measure", &form, SHAPE.call).await?;
    Listed::read(&SHAPE, answer.success(SHAPE.call)?, list::offset(page))?.page()
}
