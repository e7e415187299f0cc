//! Ending a link: step by step, each told in the receipt (`receipt`), and what could not be done at once tried again.
//!
//! First of all the link's data key, tokens and account are destroyed, in one transaction with the row that says what is
//! left to do. Where the provider has to be told, its own tokens are kept in that row, sealed under the keyring and nothing
//! else, until it was told or [`TERM`] is over: a grant that goes on at the provider is worse for the patient than its
//! tokens sealed for a few days. `link.disconnected` drives the rest; the nightly run and a restart send it again for every
//! end that is still open.

use std::time::Duration;

use ohx_domain::{EhrName, Instant, LinkId, LinkState, account_pseudonym};
use ohx_providers::{App, Provider, ProviderError, Remedy};
use ohx_runtime::EventFailure;
use ohx_store::{Erasure, ErasureReport, Step, StepName, StepState};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{LinkError, Links, OpenLink, Result};

/// For how long it is tried to tell the provider.
pub const TERM: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long after a first failure the steps are tried again; twice as long after each further one.
const AGAIN: Duration = Duration::from_secs(2);
/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(3600);

/// What the provider is told with. Sealed wherever it rests.
#[derive(Serialize, Deserialize)]
struct Grant {
    access: String,
    refresh: String,
    /// Where it sends notifications of this link.
    callback: Url,
}

/// What came of trying a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    /// To which state.
    pub state: StepState,
    /// Why, for a person.
    pub why: Option<String>,
    /// To how many.
    pub count: Option<u64>,
}

impl Came {
    /// It is done.
    pub const fn done(count: Option<u64>) -> Self {
        Self { state: StepState::Done, why: None, count }
    }

    /// It is not; says why.
    pub fn to(state: StepState, why: impl Into<String>) -> Self {
        Self { state, why: Some(why.into()), count: None }
    }
}

fn place<'a>(link: &'a str, seq: &'a str) -> [&'a str; 4] {
    ["erasures", link, seq, "grant"]
}

fn step(step: StepName, ehr: Option<EhrName>, came: Came, at: Instant) -> Step {
    Step { step, ehr, state: came.state, why: came.why, count: came.count, attempts: 0, at }
}

impl Links {
    /// Ends a link: destroys its data key, tokens and account, tells the provider as well as can be, and sends
    /// `link.disconnected`, on which its devices end at the EHR and, with `mark`, its readings are marked there. Gives how
    /// far that is. A link that has ended already is only looked after once more.
    ///
    /// # Errors
    /// [`LinkError::Unknown`], [`LinkError::Store`].
    pub async fn disconnect(&self, id: LinkId, reason: &str, mark: bool) -> Result<Erasure> {
        let link = self.get(id).await?;
        if link.state == LinkState::Disconnected
            && let Some(known) = self.parts.store.erasure(id).await?
        {
            if known.done_at.is_none() {
                self.tell_of_end(id).await;
            }
            return Ok(known);
        }
        let was_connected = matches!(link.state, LinkState::Active | LinkState::ReauthorizationRequired);
        let (report, grant) = match was_connected {
            true => self.report(id, reason, mark).await?,
            false => (self.nothing_to_do(&link, reason), None),
        };
        // The number of this end is not known before it is written; the next one is sealed for.
        let seq = self.parts.store.erasure(id).await?.map_or(1, |last| last.seq + 1);
        let sealed = grant.map(|grant| self.seal_grant(id, seq, &grant)).transpose()?;
        let now = self.parts.clock.now();
        let begun = self.parts.store.begin_erasure(id, &report, sealed.as_deref(), now).await?;
        tracing::info!(link = %id, provider = %link.provider, seq = begun.seq, "disconnected");
        let erasure = self.tell_provider(begun).await?;
        if link.state != LinkState::Pending {
            self.tell_of_end(id).await;
        }
        Ok(erasure)
    }

    /// Sends `link.disconnected`. Where that fails the link has ended all the same; the nightly run sends it again.
    async fn tell_of_end(&self, id: LinkId) {
        let sent = async { self.announce_end(&self.get(id).await?).await };
        if let Err(error) = sent.await {
            tracing::error!(link = %id, %error, "link.disconnected was not sent: the nightly run sends it again");
        }
    }

    /// Sends `link.disconnected` again for every end that is not done; gives how many.
    ///
    /// # Errors
    /// [`LinkError::Store`], [`LinkError::Bus`].
    pub async fn resume_erasures(&self) -> Result<u64> {
        let (mut after, mut resumed) = (None, 0);
        loop {
            let page = self.parts.store.open_erasures(after, 500).await?;
            let Some(last) = page.last() else { return Ok(resumed) };
            after = Some(*last);
            for id in &page {
                self.announce_end(&self.get(*id).await?).await?;
                resumed += 1;
            }
        }
    }

    fn nothing_to_do(&self, link: &ohx_domain::Link, reason: &str) -> ErasureReport {
        let now = self.parts.clock.now();
        let never =
            |name| step(name, None, Came::to(StepState::NotNeeded, "the link was not connected"), now);
        let names = [StepName::DestroyKeys, StepName::Unsubscribe, StepName::Revoke];
        ErasureReport {
            provider: link.provider.clone(),
            reason: reason.to_owned(),
            mark: false,
            steps: names.map(never).into(),
            owners: Vec::new(),
        }
    }

    /// What is to be done for a link, and what the provider can be told with.
    async fn report(&self, id: LinkId, reason: &str, mark: bool) -> Result<(ErasureReport, Option<Grant>)> {
        let now = self.parts.clock.now();
        let opened = self.open(id).await;
        let grant = match &opened {
            Ok(open) => self.grant(open).await,
            Err(error) => Err(error.to_string()),
        };
        let pending =
            |name, ehr| step(name, ehr, Came { state: StepState::Pending, why: None, count: None }, now);
        let link = self.get(id).await?;
        let mut steps = vec![step(StepName::DestroyKeys, None, Came::done(None), now)];
        for name in [StepName::Unsubscribe, StepName::Revoke] {
            steps.push(match &grant {
                Ok(_) => pending(name, None),
                Err(why) => step(name, None, Came::to(StepState::Failed, why), now),
            });
        }
        let mut report = ErasureReport {
            provider: link.provider.clone(),
            reason: reason.to_owned(),
            mark,
            steps,
            owners: Vec::new(),
        };
        let account = match &opened {
            Ok(open) => self.account(open).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        for (ehr, patient) in link.destinations() {
            report.steps.push(pending(StepName::EndDevices, Some(ehr.clone())));
            report.steps.push(match (mark, &account) {
                (false, _) => {
                    let why = "nobody has asked for it: what was published stays as it is";
                    step(
                        StepName::MarkEnteredInError,
                        Some(ehr.clone()),
                        Came::to(StepState::NotNeeded, why),
                        now,
                    )
                }
                (true, Ok(account)) => {
                    let owner = account_pseudonym(&link.provider, account, patient);
                    report.owners.push((ehr.clone(), format!("{owner}.")));
                    pending(StepName::MarkEnteredInError, Some(ehr.clone()))
                }
                (true, Err(why)) => step(
                    StepName::MarkEnteredInError,
                    Some(ehr.clone()),
                    Came::to(StepState::Failed, why),
                    now,
                ),
            });
        }
        Ok((report, grant.ok()))
    }

    async fn grant(&self, open: &OpenLink) -> std::result::Result<Grant, String> {
        let (pair, _) = self.read_tokens(open).await.map_err(|error| error.to_string())?;
        Ok(Grant {
            access: pair.access.expose_secret().to_owned(),
            refresh: pair.refresh.expose_secret().to_owned(),
            callback: self.callback(open),
        })
    }

    fn seal_grant(&self, link: LinkId, seq: u32, grant: &Grant) -> Result<Vec<u8>> {
        let seal = |source| LinkError::Seal { of: format!("the end of link {link}"), source };
        let plain = serde_json::to_vec(grant).map_err(|_| seal(ohx_seal::SealError::Refused))?;
        let (link, seq) = (link.to_string(), seq.to_string());
        self.parts.keyring.seal(&place(&link, &seq), &plain).map_err(seal)
    }

    fn open_grant(&self, erasure: &Erasure) -> Result<Option<Grant>> {
        let Some(sealed) = &erasure.sealed_grant else { return Ok(None) };
        let seal = |source| LinkError::Seal { of: format!("the end of link {}", erasure.link), source };
        let (link, seq) = (erasure.link.to_string(), erasure.seq.to_string());
        let plain = self.parts.keyring.open(&place(&link, &seq), sealed).map_err(seal)?;
        serde_json::from_slice(&plain).map(Some).map_err(|_| seal(ohx_seal::SealError::Refused))
    }

    /// Tries what is to be done at the provider: first the subscriptions, for which the grant has to be good.
    async fn tell_provider(&self, erasure: Erasure) -> Result<Erasure> {
        let waits = |erasure: &Erasure, name| {
            erasure.report.steps.iter().any(|step| step.step == name && step.state == StepState::Pending)
        };
        let id = erasure.link;
        if !waits(&erasure, StepName::Unsubscribe) && !waits(&erasure, StepName::Revoke) {
            return Ok(erasure);
        }
        let over = self.parts.clock.now() > erasure.begun_at + TERM;
        let opened = async {
            let grant = self.open_grant(&erasure)?.ok_or(LinkError::Seal {
                of: format!("the end of link {id}"),
                source: ohx_seal::SealError::Refused,
            })?;
            Ok::<_, LinkError>((grant, self.app(&erasure.report.provider).await?))
        };
        let (mut grant, (app, provider)) = match opened.await {
            Ok(opened) => opened,
            Err(error) => {
                let state = if over { StepState::Failed } else { StepState::Pending };
                for name in [StepName::Unsubscribe, StepName::Revoke] {
                    self.note_step(id, name, None, Came::to(state, error.to_string())).await?;
                }
                return self.ended(id).await;
            }
        };
        if waits(&erasure, StepName::Unsubscribe) {
            let came = self.unsubscribe(&app, provider.as_ref(), &mut grant).await;
            let came = if over { given_up(came) } else { came };
            self.keep_grant(id, erasure.seq, &grant).await?;
            self.note_step(id, StepName::Unsubscribe, None, came).await?;
        }
        // A grant that has ended can end no subscription.
        let now = self.ended(id).await?;
        if waits(&now, StepName::Revoke) {
            let came = match waits(&now, StepName::Unsubscribe) {
                true => Came::to(StepState::Pending, "the subscriptions have to end first"),
                false => revoke(&app, provider.as_ref(), &grant).await,
            };
            let came = if over { given_up(came) } else { came };
            self.note_step(id, StepName::Revoke, None, came).await?;
        }
        self.ended(id).await
    }

    async fn unsubscribe(&self, app: &App, provider: &dyn Provider, grant: &mut Grant) -> Came {
        let access = SecretString::from(grant.access.as_str());
        let mut answer = provider.unsubscribe(app, &access, &grant.callback).await;
        if let Err(error) = &answer
            && error.remedy() == Remedy::Refresh
        {
            let refresh = SecretString::from(grant.refresh.as_str());
            answer = match provider.refresh(app, &refresh).await {
                Ok(fresh) => {
                    grant.access = fresh.access_token.expose_secret().to_owned();
                    if let Some(next) = &fresh.refresh_token {
                        grant.refresh = next.expose_secret().to_owned();
                    }
                    provider.unsubscribe(app, &fresh.access_token, &grant.callback).await
                }
                Err(error) => Err(error),
            };
        }
        match answer {
            Ok(Some(count)) => Came::done(Some(count.into())),
            Ok(None) => Came::to(
                StepState::NotNeeded,
                "its subscriptions end with the grant, or are not the link's own",
            ),
            Err(error) => failed(&error),
        }
    }

    /// Tokens that were refreshed on the way replace those before.
    async fn keep_grant(&self, id: LinkId, seq: u32, grant: &Grant) -> Result<()> {
        for _ in 0..10 {
            let mut erasure = self.ended(id).await?;
            if erasure.sealed_grant.is_none() || erasure.seq != seq {
                return Ok(());
            }
            erasure.sealed_grant = Some(self.seal_grant(id, seq, grant)?);
            if self.parts.store.save_erasure(&erasure, self.parts.clock.now()).await? {
                return Ok(());
            }
        }
        Err(LinkError::Busy(id))
    }

    /// The last end of a link.
    ///
    /// # Errors
    /// [`LinkError::State`] where it has not ended, [`LinkError::Store`].
    pub async fn ended(&self, id: LinkId) -> Result<Erasure> {
        let state = self.get(id).await?.state;
        let hint = "it has not ended, so there is nothing to tell of its end";
        self.parts.store.erasure(id).await?.ok_or(LinkError::State { link: id, state, hint })
    }

    /// Notes what came of a step. When the provider's are settled its tokens are destroyed; when all are, the end is done.
    ///
    /// # Errors
    /// As [`Links::ended`]; [`LinkError::Busy`] where others write the same again and again.
    pub async fn note_step(
        &self,
        id: LinkId,
        name: StepName,
        ehr: Option<&EhrName>,
        came: Came,
    ) -> Result<()> {
        for _ in 0..20 {
            let (mut erasure, now) = (self.ended(id).await?, self.parts.clock.now());
            let mut steps = erasure.report.steps.iter_mut();
            let Some(step) = steps.find(|step| step.step == name && step.ehr.as_ref() == ehr) else {
                return Ok(());
            };
            if step.state != StepState::Pending {
                return Ok(());
            }
            step.attempts += 1;
            step.at = now;
            (step.state, step.why) = (came.state, came.why.clone());
            step.count = match (step.count, came.count) {
                (Some(before), Some(more)) => Some(before + more),
                (before, more) => more.or(before),
            };
            let pending = |step: &Step| step.state == StepState::Pending;
            let steps = &erasure.report.steps;
            if !steps
                .iter()
                .any(|step| matches!(step.step, StepName::Unsubscribe | StepName::Revoke) && pending(step))
            {
                erasure.sealed_grant = None;
            }
            if !steps.iter().any(pending) {
                erasure.done_at = Some(now);
                erasure.report.owners.clear();
                tracing::info!(link = %id, "nothing is left to do for a link that has ended");
            }
            if self.parts.store.save_erasure(&erasure, now).await? {
                return Ok(());
            }
        }
        Err(LinkError::Busy(id))
    }

    /// Tries again what is left to do at the provider. Gives the end as it is then; `None` for links that ended before ends
    /// were written down, and for those that live again.
    ///
    /// # Errors
    /// [`LinkError::Store`].
    pub async fn go_on_ending(&self, id: LinkId) -> Result<Option<Erasure>> {
        match self.parts.store.erasure(id).await? {
            Some(erasure) if erasure.done_at.is_none() => self.tell_provider(erasure).await.map(Some),
            other => Ok(other),
        }
    }

    /// What the bus is told of an end: done, or not before which time it is tried again.
    ///
    /// # Errors
    /// [`EventFailure::Wait`] where something is left to do.
    pub async fn is_ended(&self, id: LinkId) -> std::result::Result<(), EventFailure> {
        let Some(erasure) = self.parts.store.erasure(id).await? else { return Ok(()) };
        let waiting = || erasure.report.steps.iter().filter(|step| step.state == StepState::Pending);
        let Some(tries) = waiting().map(|step| step.attempts).min() else { return Ok(()) };
        let why = waiting().find_map(|step| step.why.clone()).unwrap_or_default();
        let after = AGAIN.saturating_mul(1 << tries.saturating_sub(1).min(11)).min(LONGEST);
        Err(EventFailure::Wait { reason: format!("the end of link {id} is not done: {why}"), after })
    }
}

async fn revoke(app: &App, provider: &dyn Provider, grant: &Grant) -> Came {
    let (access, refresh) =
        (SecretString::from(grant.access.as_str()), SecretString::from(grant.refresh.as_str()));
    match provider.revoke(app, &access, &refresh).await {
        Ok(true) => Came::done(None),
        Ok(false) => Came::to(
            StepState::NotOffered,
            "the provider cannot be told; the patient can end the grant in the account there",
        ),
        Err(error) => failed(&error),
    }
}

/// What may pass is tried again; what will not is given up. A grant that the provider does not know any more has ended.
fn failed(error: &ProviderError) -> Came {
    let state = match error.remedy() {
        Remedy::Reauthorize => StepState::NotNeeded,
        Remedy::Permanent => StepState::Failed,
        Remedy::Retry { .. } | Remedy::SlowDown { .. } | Remedy::Spent { .. } | Remedy::Refresh => {
            StepState::Pending
        }
    };
    Came::to(state, error.to_string())
}

fn given_up(came: Came) -> Came {
    match came.state {
        StepState::Pending => {
            let why = came.why.unwrap_or_default();
            Came::to(StepState::Failed, format!("given up after {} days: {why}", TERM.as_secs() / 86_400))
        }
        _ => came,
    }
}
