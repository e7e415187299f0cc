//! The API's description, OpenAPI 3.1, made from the handlers: `/api/openapi.json`, `ohx openapi` and `docs/openapi.json`.

use axum::response::IntoResponse;
use http::header;
use serde::Serialize;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{OpenApi as _, ToSchema};

/// What went wrong (RFC 9457), as `application/problem+json`. Some problems have members beyond these.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
struct ShownProblem {
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The status in words.
    title: String,
    /// What happened, and what to do.
    detail: Option<String>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldProblem>,
}

/// A field that is wrong.
#[derive(Serialize, ToSchema)]
struct FieldProblem {
    /// What is wrong with it.
    detail: String,
    /// Where it is in the body: a JSON pointer as a URI fragment (RFC 6901).
    pointer: Option<String>,
    /// Or the parameter of the address that it is.
    parameter: Option<String>,
}

/// What is said beside the operations.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Open Health Exchange",
        description = "Brings patients' home measurements from provider clouds into FHIR servers. docs/api.md tells what holds for \
                       every address: versions, pages, problems, keys of idempotency, ETags.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact(name = "Open Health Exchange", url = "https://github.com/open-health-exchange")
    ),
    servers((url = "/", description = "The exchange that this comes from")),
    components(schemas(ShownProblem)),
    tags(
        (name = "base", description = "Provider apps and links"),
        (name = "ingestors", description = "Reading from providers: syncs, imports, coverage"),
        (name = "transformers", description = "Mapping documents"),
        (name = "publishers", description = "Writing to EHRs: endpoints, dead letters"),
        (name = "devices", description = "Patients' devices"),
        (name = "metrics", description = "What is seen from afar")
    )
)]
pub(crate) struct Described;

/// The whole of it, out of what the routes say.
pub(crate) fn complete(mut routes: OpenApi) -> OpenApi {
    let mut whole = Described::openapi();
    whole.merge(std::mem::take(&mut routes));
    // The crate's own version says nothing about the API's, of which there is one.
    whole.info.version = "1".to_owned();
    let components = whole.components.get_or_insert_default();
    let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).description(Some("OHX_API_KEY")).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let requirement = || SecurityRequirement::new("bearer", Vec::<String>::new());
    whole.security = Some(vec![requirement()]);
    for (path, item) in &mut whole.paths.paths {
        for (method, operation) in [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Delete, &mut item.delete),
        ] {
            if let Some(operation) = operation {
                describe(path, &method, operation);
            }
        }
    }
    whole
}

/// What holds for every operation.
fn describe(path: &str, method: &HttpMethod, operation: &mut Operation) {
    // A doc comment's first sentence is the summary, however its lines are broken.
    let told = [operation.summary.take(), operation.description.take()].into_iter().flatten();
    let told = told.collect::<Vec<_>>().join(" ").replace('\n', " ");
    let end = told.find(". ").map_or(told.len(), |end| end + 1);
    let summary = told.get(..end).unwrap_or(&told).trim_end_matches('.');
    operation.summary = Some(summary.to_owned());
    operation.description = Some(told.clone());
    if *method == HttpMethod::Post && !path.ends_with("/validate/") && !path.ends_with("/preview/") {
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("The call is done once for each key, and its answer is given again for a day"))
            .schema(Some(
                ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255)),
            ));
        operation.parameters.get_or_insert_default().push(RefOr::T(key.build()));
    }
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let retry = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
        .description(Some("Seconds, where it is worth trying again"))
        .build();
    let default = ResponseBuilder::new()
        .description("What went wrong")
        .content("application/problem+json", problem)
        .header("Retry-After", retry);
    operation.responses.responses.insert("default".to_owned(), RefOr::T(default.build()));
}

/// The description as it is served and kept: indented JSON, with a line's end.
pub(crate) fn text(api: &OpenApi) -> String {
    let text = api.to_pretty_json().unwrap_or_default();
    format!("{text}\n")
}

/// Answers with it.
pub(crate) async fn serve(text: &'static str) -> impl IntoResponse {
    let headers =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, text)
}
