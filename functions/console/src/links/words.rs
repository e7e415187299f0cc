//! The states of links and of what is done with them, in words.

use std::borrow::Cow;

use ohx_domain::{LinkState, RequestState};

/// A state: its sign, the class of its colour, and what it is called.
pub(super) struct Badge {
    pub(super) sign: &'static str,
    pub(super) class: &'static str,
    pub(super) text: Cow<'static, str>,
}

impl Badge {
    const fn new(sign: &'static str, class: &'static str, text: &'static str) -> Self {
        Self { sign, class, text: Cow::Borrowed(text) }
    }
}

pub(super) const fn link(state: LinkState) -> Badge {
    match state {
        LinkState::Pending => Badge::new("○", "soft", "Waits for consent"),
        LinkState::Active => Badge::new("●", "good", "Active"),
        LinkState::ReauthorizationRequired => Badge::new("▲", "bad", "Consent needed again"),
        LinkState::Disconnected => Badge::new("■", "soft", "Ended"),
    }
}

pub(super) const fn request(state: RequestState) -> Badge {
    match state {
        RequestState::Requested => Badge::new("○", "soft", "Asked for"),
        RequestState::Fetching => Badge::new("◐", "warn", "Being read"),
        RequestState::Fetched => Badge::new("◐", "warn", "On its way to the EHR"),
        RequestState::Published => Badge::new("●", "good", "Published"),
        RequestState::Failed => Badge::new("▲", "bad", "Given up"),
    }
}

/// A step of a receipt.
pub(super) fn step(name: &str) -> String {
    match name {
        "destroy-keys" => "Destroy the link's key, tokens and account".to_owned(),
        "unsubscribe" => "End the provider's notifications".to_owned(),
        "revoke" => "Revoke the grant at the provider".to_owned(),
        "end-devices" => "End the device associations".to_owned(),
        "mark-entered-in-error" => "Mark what was published entered-in-error".to_owned(),
        other => crate::words::record(other),
    }
}

pub(super) fn step_state(state: &str) -> Badge {
    match state {
        "pending" => Badge::new("◐", "warn", "Goes on"),
        "done" => Badge::new("●", "good", "Done"),
        "not-needed" => Badge::new("–", "soft", "Not needed"),
        "not-offered" => Badge::new("–", "soft", "Not offered"),
        "failed" => Badge::new("▲", "bad", "Given up"),
        other => Badge { text: Cow::Owned(crate::words::record(other)), ..Badge::new("–", "soft", "") },
    }
}
