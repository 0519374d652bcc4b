//! `/openapi.json` (OpenAPI 3.1) and `/docs`, which needs no internet.

use axum::Router;
use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_swagger_ui::SwaggerUi;

use crate::rest::{self, ProblemBody};

#[derive(OpenApi)]
#[openapi(
    info(title = "Balancer", description = "Limits of clients, for programs that speak REST. Everything else is gRPC."),
    paths(rest::create, rest::get_limit, rest::update, rest::delete_limit),
    modifiers(&Bearer),
    security(("token" = []), ()),
    tags((name = "limits", description = "A client without a limit of its own falls under the default limit"))
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Answers that every call can give.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only its documentation is used")]
pub(crate) enum CommonProblems {
    /// The request is not valid; `errors` begins with the field's name
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(ProblemBody),
    /// The token is missing or wrong
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody),
    /// The path exists, but not for this method; `Allow` says which ones do
    #[response(status = 405, content_type = "application/problem+json")]
    Method(ProblemBody),
    /// The request took too long to arrive
    #[response(status = 408, content_type = "application/problem+json")]
    Slow(ProblemBody),
    /// The body is longer than 1 MiB
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemBody),
    /// The Content-Type is not JSON
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(ProblemBody),
    /// A fault in Balancer or its database
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemBody),
    /// The database does not answer; see `Retry-After`
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody),
}

/// Answers that every call that writes can give.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only its documentation is used")]
pub(crate) enum WriteProblems {
    /// A browser sent it for a page of another site
    #[response(status = 403, content_type = "application/problem+json")]
    CrossSite(ProblemBody),
    /// The database's disk is full
    #[response(status = 507, content_type = "application/problem+json")]
    Full(ProblemBody),
}

/// The document and its page.
pub(crate) fn router() -> Router {
    SwaggerUi::new("/docs").url("/openapi.json", Document::openapi()).into()
}
