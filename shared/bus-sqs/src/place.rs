//! Where the queues are, and what they are called.

use ohx_events::{Function, Priority};
use url::Url;

use crate::SetupError;

/// The longest prefix: a queue's name has at most 80 characters.
const MAX_PREFIX: usize = 60;

/// Where the queues are. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What the queues' URLs begin with, without a slash at its end.
    base: String,
    pub(crate) endpoint: String,
    pub(crate) region: String,
    prefix: String,
}

impl Place {
    /// The queues whose URLs are `<base>/<prefix>-<function>-<priority>`. The region is read from the base where it is
    /// not given; calls go to the base's host, or to `endpoint` where that is given.
    ///
    /// # Errors
    /// [`SetupError`], but never [`SetupError::Config`].
    pub fn new(
        base: &str,
        prefix: &str,
        region: Option<&str>,
        endpoint: Option<&str>,
    ) -> Result<Self, SetupError> {
        let url: Url = base.trim_end_matches('/').parse().map_err(|_| SetupError::Address)?;
        let account = url.path().trim_matches('/');
        let usable = matches!(url.scheme(), "http" | "https")
            && !account.is_empty()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !usable {
            return Err(SetupError::Address);
        }
        let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if prefix.is_empty() || prefix.len() > MAX_PREFIX || !prefix.chars().all(named) {
            return Err(SetupError::Prefix);
        }
        let region = region.or_else(|| region_of(url.host_str()?)).ok_or(SetupError::Region)?;
        Ok(Self {
            endpoint: endpoint.map_or_else(|| url.origin().ascii_serialization(), str::to_owned),
            region: region.to_owned(),
            base: url.as_str().trim_end_matches('/').to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    /// The name of the queue of a function and priority.
    pub fn name(&self, to: Function, priority: Priority) -> String {
        format!("{}-{to}-{}", self.prefix, priority.as_str())
    }

    /// The name of the queue for what was received too often.
    pub fn dead(&self) -> String {
        format!("{}-dead", self.prefix)
    }

    /// The names of all queues of functions.
    pub fn names(&self) -> Vec<String> {
        lanes().map(|(to, priority)| self.name(to, priority)).collect()
    }

    /// The URL of a queue.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }
}

/// Every function and priority.
pub(crate) fn lanes() -> impl Iterator<Item = (Function, Priority)> {
    Function::ALL.into_iter().flat_map(|to| Priority::ALL.map(|priority| (to, priority)))
}

/// The region in a host of SQS: `sqs.<region>.amazonaws.com`, also below a VPC endpoint's name and with a suffix for
/// FIPS; and the old `<region>.queue.amazonaws.com`.
fn region_of(host: &str) -> Option<&str> {
    let labels: Vec<&str> = host.split('.').collect();
    if !labels.iter().any(|label| *label == "amazonaws" || *label == "api") {
        return None;
    }
    let after = labels.iter().position(|label| matches!(*label, "sqs" | "sqs-fips"));
    let before = labels.iter().position(|label| *label == "queue");
    let region = match (after, before) {
        (Some(sqs), _) => labels.get(sqs + 1),
        (None, Some(queue)) => labels.get(queue.checked_sub(1)?),
        (None, None) => None,
    };
    region.copied().filter(|label| label.contains('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(base: &str) -> Result<Place, SetupError> {
        Place::new(base, "ohx", None, None)
    }

    #[test]
    fn an_address_says_where_and_in_which_region() {
        for (base, region, endpoint) in [
            (
                "https://sqs.eu-central-1.amazonaws.com/123456789012",
                "eu-central-1",
                "https://sqs.eu-central-1.amazonaws.com",
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/1/",
                "cn-north-1",
                "https://sqs.cn-north-1.amazonaws.com.cn",
            ),
            (
                "https://sqs-fips.us-east-1.amazonaws.com/1",
                "us-east-1",
                "https://sqs-fips.us-east-1.amazonaws.com",
            ),
            ("https://sqs.us-east-1.api.aws/1", "us-east-1", "https://sqs.us-east-1.api.aws"),
            ("https://eu-west-1.queue.amazonaws.com/1", "eu-west-1", "https://eu-west-1.queue.amazonaws.com"),
            (
                "https://vpce-0a.sqs.eu-west-1.vpce.amazonaws.com/1",
                "eu-west-1",
                "https://vpce-0a.sqs.eu-west-1.vpce.amazonaws.com",
            ),
        ] {
            let place = place(base).unwrap();
            assert_eq!((place.region.as_str(), place.endpoint.as_str()), (region, endpoint));
            let url = place.url(&place.name(Function::Fetch, Priority::High));
            assert_eq!(url, format!("{}/ohx-fetch-high", base.trim_end_matches('/')));
        }
        let local =
            Place::new("http://127.0.0.1:4566/000000000000", "t", Some("eu-north-1"), Some("http://other:1"));
        let local = local.unwrap();
        assert_eq!((local.region.as_str(), local.endpoint.as_str()), ("eu-north-1", "http://other:1"));
        assert_eq!((local.names().len(), local.dead()), (15, "t-dead".to_owned()));
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_is_expected() {
        for base in [
            "",
            "ohx",
            "sqs.eu-central-1.amazonaws.com/1",
            "https://sqs.eu-central-1.amazonaws.com",
            "https://user:secret@sqs.eu-central-1.amazonaws.com/1",
        ] {
            assert_eq!(place(base), Err(SetupError::Address), "{base}");
        }
        assert_eq!(place("http://127.0.0.1:4566/000000000000"), Err(SetupError::Region));
        for prefix in ["", "a b", "ohx:", &"x".repeat(61)] {
            let place = Place::new("https://sqs.eu-central-1.amazonaws.com/1", prefix, None, None);
            assert_eq!(place, Err(SetupError::Prefix), "{prefix}");
        }
        let longest =
            Place::new("https://sqs.eu-central-1.amazonaws.com/1", &"x".repeat(60), None, None).unwrap();
        assert!(longest.names().iter().all(|name| name.len() <= 80));
    }
}
