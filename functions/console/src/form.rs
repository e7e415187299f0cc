//! Forms of pages: who has sent one, and that a page of this sign-in has it.

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::session::SignedIn;
use crate::{Console, ConsoleError};

/// A form whose token was checked. Its fields are texts: `T` says which.
pub(crate) struct Sent<T> {
    pub(crate) signed_in: SignedIn,
    pub(crate) form: T,
}

#[derive(Deserialize)]
struct Tokened<T> {
    #[serde(default)]
    token: String,
    #[serde(flatten)]
    form: T,
}

impl<T: DeserializeOwned> FromRequest<Console> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let signed_in = SignedIn::from_request_parts(&mut parts, console).await?;
        let form = Form::<Tokened<T>>::from_request(Request::from_parts(parts, body), console).await;
        let Form(Tokened { token, form }) =
            form.map_err(|_| ConsoleError::Form("A field is missing.").into_response())?;
        console.sessions.check(&signed_in.session, &token).map_err(ConsoleError::into_response)?;
        Ok(Self { signed_in, form })
    }
}

/// A form with buttons only.
#[derive(Deserialize)]
pub(crate) struct Bare {}
