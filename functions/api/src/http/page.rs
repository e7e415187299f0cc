//! Lists come in pages: `?limit=&cursor=`, and `{"items": […], "next": …}`.
//!
//! A cursor is opaque to callers. It says where the page before ended, not how far: what is added or removed in between
//! neither repeats an item nor leaves one out.

use data_encoding::BASE64URL_NOPAD;
use http::StatusCode;
use ohx_runtime::Problem;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::of_parameter;

/// The items of a page where nothing is said.
const DEFAULT_LIMIT: u32 = 100;
/// The most items of a page.
pub(crate) const MAX_LIMIT: u32 = 1000;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T: ToSchema> {
    /// What is on it.
    pub(crate) items: Vec<T>,
    /// Give it as `cursor` for the next page; null on the last.
    #[schema(required = true)]
    pub(crate) next: Option<String>,
}

/// Which page, for lists that nothing else narrows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// At most so many items: 1 to 1000, 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<u32>,
    /// The `next` of the page before.
    pub(crate) cursor: Option<String>,
}

/// How many items a page may have.
pub(crate) fn limit(given: Option<u32>) -> Result<u32, Problem> {
    match given {
        None => Ok(DEFAULT_LIMIT),
        Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
        Some(limit) => Err(of_parameter("limit", format!("must be 1 to {MAX_LIMIT}, got {limit}"))),
    }
}

/// A cursor of the list `list` after the item of `key`.
pub(crate) fn cursor(list: &str, key: &impl Serialize) -> String {
    BASE64URL_NOPAD.encode(&serde_json::to_vec(&(list, key)).unwrap_or_default())
}

/// The key that a cursor of the list `list` holds.
pub(crate) fn key<K: DeserializeOwned>(list: &str, cursor: Option<&str>) -> Result<Option<K>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let read = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok();
    let read = read.and_then(|bytes| serde_json::from_slice::<(String, K)>(&bytes).ok());
    match read {
        Some((of, key)) if of == list => Ok(Some(key)),
        _ => Err(of_parameter("cursor", "is none of this list: give the next of the page before")),
    }
}

impl<T: ToSchema> Page<T> {
    /// The page of what a store gave for `limit`: a full one may have another after it.
    pub(crate) fn new<F>(list: &str, found: Vec<F>, limit: u32, key: impl Fn(&F) -> String) -> Self
    where
        F: Into<T>,
    {
        let next =
            found.last().filter(|_| found.len() == limit as usize).map(|last| cursor(list, &key(last)));
        Self { items: found.into_iter().map(Into::into).collect(), next }
    }

    /// A page of a list that is at hand as a whole, in the order of its keys.
    pub(crate) fn of(
        list: &str,
        all: impl IntoIterator<Item = T>,
        paging: &Paging,
        key_of: impl Fn(&T) -> String,
    ) -> Result<Self, Problem> {
        let limit = limit(paging.limit)? as usize;
        let after: Option<String> = key(list, paging.cursor.as_deref())?;
        let later = |item: &T| after.as_ref().is_none_or(|after| key_of(item) > *after);
        let mut items: Vec<T> = all.into_iter().filter(later).take(limit + 1).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| cursor(list, &key_of(last)));
        Ok(Self { items, next })
    }
}

/// Something that a list is narrowed by, and that does not read as what it should be.
pub(crate) fn narrowed<T>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.map(|text| text.parse().map_err(|e: T::Err| of_parameter(name, e.to_string()))).transpose()
}

/// Where nothing has to be told but that there is nothing.
pub(crate) fn unprocessable(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: u32, cursor: Option<String>) -> Page<String> {
        let all = ["a", "b", "c", "d"].map(str::to_owned);
        Page::of("letters", all, &Paging { limit: Some(limit), cursor }, Clone::clone).unwrap()
    }

    #[test]
    fn pages_follow_one_another() {
        let first = page(2, None);
        assert_eq!(first.items, ["a", "b"]);
        let second = page(2, first.next);
        assert_eq!(second.items, ["c", "d"]);
        assert_eq!(second.next, None);
    }

    #[test]
    fn a_cursor_is_good_for_its_list_only() {
        let cursor = cursor("letters", &"b");
        assert_eq!(key::<String>("letters", Some(&cursor)).unwrap().unwrap(), "b");
        for bad in
            [key::<String>("links", Some(&cursor)), key("letters", Some("=")), key("letters", Some(""))]
        {
            assert_eq!(bad.unwrap_err().status(), 400);
        }
        assert!(limit(Some(0)).is_err() && limit(Some(1001)).is_err());
    }
}
