//! What is open to whom: the one table.
//!
//! `docs/access.md` shows it (a test holds the two together), and a test walks every route of the router: one without a
//! rule here fails it, and nobody is let in there.

use http::Method;
use ohx_domain::Role::{self, Admin, ClinicianRead, Integrator, LinkCreator};

/// What a route is about: how a caller that is confined to some links is kept to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Nobody has to be known.
    Public,
    /// What is the same for everybody: nothing of a patient is in it.
    Everybody,
    /// The whole deployment: nobody who is confined is let in.
    Whole,
    /// The link `{id}` of the address.
    Link,
    /// The link that the query's `link` names.
    QueryLink,
    /// The links of the sync `{id}` of the address.
    Sync,
    /// Links that the handler finds: it takes the `Principal`, and keeps to it.
    Handler,
}

impl About {
    /// For a person.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Public => "-",
            Self::Everybody => "no patient",
            Self::Whole => "everything: not for confined callers",
            Self::Link => "the link of the address",
            Self::QueryLink => "the link of the query",
            Self::Sync => "the links of the sync",
            Self::Handler => "the caller's links",
        }
    }
}

/// What is open to whom.
#[derive(Debug)]
pub struct Rule {
    /// The method; `HEAD` is as `GET`.
    pub method: Method,
    /// The address, as it is registered.
    pub path: &'static str,
    /// The least roles: who covers one of them is let in.
    pub least: &'static [Role],
    /// What it is about.
    pub about: About,
    /// How the audit log names what is done, and to what; names of the address in braces. `None` where nothing is changed
    /// and no secret is shown.
    pub audit: Option<(&'static str, &'static str)>,
}

const fn rule(
    method: Method,
    path: &'static str,
    least: &'static [Role],
    about: About,
    audit: Option<(&'static str, &'static str)>,
) -> Rule {
    Rule { method, path, least, about, audit }
}

/// Everybody who is known.
const KNOWN: &[Role] = &[ClinicianRead, LinkCreator];
const READER: &[Role] = &[ClinicianRead];
const LINKS: &[Role] = &[LinkCreator];
const INTEGRATOR: &[Role] = &[Integrator];
const ADMIN: &[Role] = &[Admin];

/// The table.
#[rustfmt::skip]
pub static RULES: &[Rule] = &[
    rule(Method::GET, "/.well-known/jwks.json", &[], About::Public, None),

    rule(Method::GET, "/api/openapi.json", &[], About::Public, None),
    rule(Method::GET, "/api/base/provider-links/{provider}/oauth2_callback/", &[], About::Public, None),

    rule(Method::GET, "/api/base/provider-types/", KNOWN, About::Everybody, None),
    rule(Method::GET, "/api/base/providers/", KNOWN, About::Everybody, None),
    rule(Method::POST, "/api/base/providers/", INTEGRATOR, About::Whole, Some(("provider.create", "provider"))),
    rule(Method::GET, "/api/base/providers/{name}/", INTEGRATOR, About::Whole, None),
    rule(Method::PUT, "/api/base/providers/{name}/", INTEGRATOR, About::Whole, Some(("provider.replace", "provider:{name}"))),
    rule(Method::DELETE, "/api/base/providers/{name}/", INTEGRATOR, About::Whole, Some(("provider.remove", "provider:{name}"))),
    rule(Method::POST, "/api/base/providers/{name}/check/", INTEGRATOR, About::Whole, None),
    rule(Method::GET, "/api/base/provider-links/", KNOWN, About::Handler, None),
    rule(Method::POST, "/api/base/provider-links/", LINKS, About::Handler, Some(("link.create", "link"))),
    rule(Method::GET, "/api/base/provider-links/{id}/", KNOWN, About::Link, None),
    rule(Method::POST, "/api/base/provider-links/{id}/initiate_oauth2/", LINKS, About::Link, Some(("link.connect-address", "link:{id}"))),
    rule(Method::POST, "/api/base/provider-links/{id}/connect-address/", LINKS, About::Link, Some(("link.connect-address", "link:{id}"))),
    rule(Method::POST, "/api/base/provider-links/{id}/disconnect/", LINKS, About::Link, Some(("link.disconnect", "link:{id}"))),
    rule(Method::GET, "/api/base/provider-links/{id}/receipt/", KNOWN, About::Link, None),
    rule(Method::POST, "/api/base/provider-links/{id}/successor/", LINKS, About::Link, Some(("link.succeed", "link:{id}"))),
    rule(Method::GET, "/api/base/provider-links/{id}/devices/", KNOWN, About::Link, None),
    rule(Method::POST, "/api/base/provider-links/{id}/create_fhir_device/", LINKS, About::Handler, Some(("devices.request", "link:{id}"))),
    rule(Method::GET, "/api/base/provider-links/{id}/gateway/", INTEGRATOR, About::Link, Some(("link.gateway-token", "link:{id}"))),
    rule(Method::GET, "/api/base/api-keys/", ADMIN, About::Whole, None),
    rule(Method::POST, "/api/base/api-keys/", ADMIN, About::Whole, Some(("api-key.create", "api-key"))),
    rule(Method::GET, "/api/base/api-keys/{id}/", ADMIN, About::Whole, None),
    rule(Method::POST, "/api/base/api-keys/{id}/revoke/", ADMIN, About::Whole, Some(("api-key.revoke", "api-key:{id}"))),
    rule(Method::GET, "/api/base/audit/", ADMIN, About::Whole, None),

    rule(Method::POST, "/api/ingestors/imports/", LINKS, About::QueryLink, Some(("readings.import", "link"))),
    rule(Method::POST, "/api/ingestors/syncs/", LINKS, About::Handler, Some(("sync.start", "link"))),
    rule(Method::GET, "/api/ingestors/syncs/", KNOWN, About::QueryLink, None),
    rule(Method::GET, "/api/ingestors/syncs/{id}/", KNOWN, About::Sync, None),
    rule(Method::GET, "/api/ingestors/syncs/{id}/events/", KNOWN, About::Sync, None),
    rule(Method::POST, "/api/ingestors/syncs/{id}/cancel/", LINKS, About::Sync, Some(("sync.cancel", "sync:{id}"))),
    rule(Method::GET, "/api/ingestors/coverage/", KNOWN, About::QueryLink, None),

    rule(Method::GET, "/api/publishers/dead-letters/", INTEGRATOR, About::Whole, None),
    rule(Method::POST, "/api/publishers/dead-letters/replay/", INTEGRATOR, About::Whole, Some(("dead-letters.replay", "dead-letters"))),
    rule(Method::GET, "/api/publishers/dead-letters/{id}/", INTEGRATOR, About::Whole, None),
    rule(Method::DELETE, "/api/publishers/dead-letters/{id}/", INTEGRATOR, About::Whole, Some(("dead-letter.discard", "dead-letter:{id}"))),
    rule(Method::POST, "/api/publishers/dead-letters/{id}/replay/", INTEGRATOR, About::Whole, Some(("dead-letter.replay", "dead-letter:{id}"))),
    rule(Method::GET, "/api/publishers/ehr-endpoints/", INTEGRATOR, About::Whole, None),
    rule(Method::POST, "/api/publishers/ehr-endpoints/", INTEGRATOR, About::Whole, Some(("ehr.create", "ehr"))),
    rule(Method::GET, "/api/publishers/ehr-endpoints/{name}/", INTEGRATOR, About::Whole, None),
    rule(Method::PUT, "/api/publishers/ehr-endpoints/{name}/", INTEGRATOR, About::Whole, Some(("ehr.replace", "ehr:{name}"))),
    rule(Method::DELETE, "/api/publishers/ehr-endpoints/{name}/", INTEGRATOR, About::Whole, Some(("ehr.remove", "ehr:{name}"))),
    rule(Method::POST, "/api/publishers/ehr-endpoints/{name}/check/", INTEGRATOR, About::Whole, None),

    rule(Method::GET, "/api/devices/devices/", KNOWN, About::Handler, None),
    rule(Method::GET, "/api/metrics/overview/", READER, About::Whole, None),

    rule(Method::GET, "/api/transformers/mappings/", INTEGRATOR, About::Everybody, None),
    rule(Method::POST, "/api/transformers/mappings/", INTEGRATOR, About::Whole, Some(("mapping.save", "mapping"))),
    rule(Method::POST, "/api/transformers/mappings/validate/", INTEGRATOR, About::Everybody, None),
    rule(Method::POST, "/api/transformers/mappings/preview/", INTEGRATOR, About::Everybody, None),
    rule(Method::GET, "/api/transformers/mappings/{provider}/{record}/", INTEGRATOR, About::Everybody, None),
    rule(Method::GET, "/api/transformers/mappings/{provider}/{record}/versions/{version}/", INTEGRATOR, About::Everybody, None),
    rule(Method::GET, "/api/transformers/mappings/{provider}/{record}/activations/", INTEGRATOR, About::Everybody, None),
    rule(Method::POST, "/api/transformers/mappings/{provider}/{record}/activations/", INTEGRATOR, About::Whole, Some(("mapping.activate", "mapping:{provider}/{record}"))),
    rule(Method::POST, "/api/transformers/mappings/{provider}/{record}/roll-back/", INTEGRATOR, About::Whole, Some(("mapping.roll-back", "mapping:{provider}/{record}"))),
];

/// What changes nothing although it is no `GET`, so that the audit log need not tell of it.
pub const CHANGE_NOTHING: &[&str] = &[
    "/api/base/providers/{name}/check/",
    "/api/publishers/ehr-endpoints/{name}/check/",
    "/api/transformers/mappings/validate/",
    "/api/transformers/mappings/preview/",
];

/// The rules of an address.
pub(super) fn of_path(path: &str) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.path == path)
}

/// The rule of a route.
pub(super) fn of(method: &Method, path: &str) -> Option<&'static Rule> {
    of_path(path).find(|rule| rule.method == *method)
}

/// The table as `docs/access.md` has it: a row for each route, a column for each role.
pub fn markdown() -> String {
    let mut text = String::from(
        "| route | admin | integrator | clinician-read | link-creator | about | audit |\n|---|---|---|---|---|---|---|\n",
    );
    for rule in RULES {
        let may = |role: Role| {
            let open = rule.about == About::Public || rule.least.iter().any(|least| role.covers(*least));
            if open { "yes" } else { "" }
        };
        let [creator, reader, integrator, admin] = Role::ALL.map(may);
        let (Rule { method, path, about, .. }, audit) = (rule, rule.audit.map_or("", |(action, _)| action));
        let about = about.says();
        text.push_str(&format!(
            "| `{method} {path}` | {admin} | {integrator} | {reader} | {creator} | {about} | {audit} |\n"
        ));
    }
    text
}
