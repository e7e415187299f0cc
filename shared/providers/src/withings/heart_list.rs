//! ECG recordings as a list: classification, pulse, and what a cuff measured with them; not the signal.

use ohx_domain::Interval;

use super::call::Caller;
use super::list::{self, Listed, Shape};
use super::range;
use crate::{Page, PageToken, ProviderError};

pub(super) const SHAPE: Shape = Shape { call: "heart list", list: "series", head: &[], single: false };

/// Asks for the list from an offset on.
pub(super) async fn ask(
    caller: &Caller<'_>,
    window: &Interval,
    offset: i64,
) -> Result<super::call::Answer, ProviderError> {
    let (range, offset) = (range::seconds(window), (offset > 0).then(|| offset.to_string()));
    let mut form = vec![("action", "list")];
    form.extend(range.iter().map(|(name, second)| (*name, second.as_str())));
    form.extend(offset.as_deref().map(|offset| ("offset", offset)));
    caller.post("v2/heart", &form, SHAPE.call).await
}

/// Reads one page.
pub(super) async fn fetch(
    caller: &Caller<'_>,
    window: &Interval,
    page: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    let asked = list::offset(page);
    let answer = ask(caller, window, asked).await?;
    Listed::read(&SHAPE, answer.success(SHAPE.call)?, asked)?.page()
}
