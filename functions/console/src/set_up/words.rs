//! What people read who set something up: where to register, what a field is for, what to do where a test fails.

/// Where an app of a type is registered, and what with.
pub(super) fn registering(kind: &str) -> &'static str {
    match kind {
        "withings" => {
            "In the developer dashboard of Withings, create an application for the public API. Enter both addresses as its \
             callback URLs, separated by a comma. It gives you the client id and the secret."
        }
        "fitbit" => {
            "In the Google Cloud console, make a project, enable the Google Health API, fill in the consent screen, and make an \
             OAuth client of the type Web application with the redirect address. It gives you the client id and the secret."
        }
        "fitbit-legacy" => {
            "New apps can no longer be registered. In the settings of the one that you have, the redirect address and the \
             subscriber's address have to be these."
        }
        "omron" => {
            "There is no self-service: apply as a partner at OMRON, and tell its staff both addresses letter by letter. Behind \
             the address for notifications come a slash and the secret for notifications, which you make up."
        }
        "beurer" => {
            "There is nothing to register: readings come by file, or from a Bluetooth gateway. The client id can be any word."
        }
        _ => "Give whoever runs the cloud both addresses, and ask for the client id and the secret.",
    }
}

/// What a provider's base URL is for.
pub(super) fn base_url(name: &str) -> String {
    let what = match name {
        "api" => "where data are read and tokens fetched",
        "consent" | "authorize" | "accounts" => "where patients consent in the browser",
        "oauth" => "where tokens are fetched",
        "keyset" => "where the keys for notifications are",
        _ => "an address of the provider",
    };
    format!(
        "The address {what}. Empty for the provider's own; another one only for a staging cloud or a simulator."
    )
}

/// What to do where the test of an EHR endpoint says this.
pub(super) fn at_the_ehr(problem: &str) -> Option<&'static str> {
    let has = |part: &str| problem.contains(part);
    Some(if has("(invalid_client)") {
        "The signature or the secret is refused. Has the EHR's administrator registered the client id and our JWKS address, and \
         can the server reach it? With a client secret: enter it again below."
    } else if has("(invalid_scope)") || has("(scope)") {
        "Ask the EHR's administrator to grant the scopes that are named, or put those that you have into the field Scopes."
    } else if has("(unauthorized_client)") || has("(unsupported_grant_type)") {
        "Ask the EHR's administrator to allow this client the grant client_credentials."
    } else if has("(invalid_grant)") {
        "Issuer, subject or audience are not those that the server expects: ask the EHR's administrator for them."
    } else if has("clock of this machine") {
        "Set the clock of one of the two machines right."
    } else if has("fhir_version") {
        "Choose the FHIR version that the server speaks."
    } else if has("check its credentials") {
        "Look at the authorization below: is it the right way, and are its credentials complete? Do they allow to search, create \
         and update Observation and Device?"
    } else if has("is base_url the FHIR base") || has("as a FHIR server does") {
        "What answers there is no FHIR server. Is the base URL complete, up to and with the part before /metadata?"
    } else if has("permission") || has("private") {
        "The address is in a private network. Whoever operates the exchange has to allow it: OHX_OUTBOUND_PRIVATE."
    } else if has("is not available") {
        "Nothing answers at the base URL, or it asks for patience. Is the address right, and can the exchange reach it?"
    } else {
        return None;
    })
}
