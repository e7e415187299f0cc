//! Records of civil days: daily totals, workouts and nights, which are asked for and paged alike.

use ohx_domain::Query;

use super::call::Caller;
use super::list::{self, Listed, Shape};
use super::range;
use crate::{Page, PageToken, ProviderError};

/// Where such a record is found.
pub(super) struct Civil {
    pub(super) path: &'static str,
    pub(super) action: &'static str,
    pub(super) shape: Shape,
    /// Everything that it can tell.
    pub(super) fields: &'static [&'static str],
}

impl Civil {
    /// Reads one page. None of these answers tells the provider's clock, so that the caller's own is what counts.
    pub(super) async fn fetch(
        &self,
        caller: &Caller<'_>,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        let range = range::days_or_changes(query);
        let mut form = vec![("action", self.action)];
        form.extend(range.iter().map(|(name, day)| (*name, day.as_str())));
        form.extend(page.map(|token| ("offset", token.0.as_str())));
        let answer = caller.post_for(self.path, &form, self.fields, self.shape.call).await?;
        Listed::read(&self.shape, answer.success(self.shape.call)?, list::offset(page))?.page()
    }
}
