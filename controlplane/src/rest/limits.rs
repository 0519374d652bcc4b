//! The four calls on limits.

use axum::{
    Json,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, ProblemBody,
    body::{object, optional_object},
};
use crate::{
    domain::{ClientId, Limit, StoredLimit},
    plane::Plane,
};

/// A client's token bucket: a burst of `capacity` requests, refilled at `rate_per_sec`.
#[derive(Serialize, ToSchema)]
#[schema(as = Limit)]
pub(crate) struct LimitBody {
    /// Whose limit it is: 1 to 256 bytes of printable text.
    #[schema(example = "123.5.6.7:890")]
    client_id: String,
    /// Requests in a burst: finite, at least 1.
    #[serde(serialize_with = "plain_number")]
    #[schema(example = 10)]
    capacity: f64,
    /// Requests per second: finite, at least 0; 0 means the burst never refills.
    #[serde(serialize_with = "plain_number")]
    #[schema(example = 1)]
    rate_per_sec: f64,
}

/// Names a client.
#[derive(Deserialize, ToSchema, IntoParams)]
#[schema(as = Client)]
#[into_params(parameter_in = Query)]
pub(crate) struct ClientBody {
    /// Whose limit is meant: 1 to 256 bytes of printable text.
    #[schema(example = "123.5.6.7:890")]
    #[param(required = false)]
    #[allow(dead_code, reason = "the schema of what `named` reads")]
    client_id: String,
}

/// Creates a limit.
#[utoipa::path(
    post, path = "/limits/create", operation_id = "createLimit", tag = "limits", request_body = LimitBody,
    responses(
        (status = 201, description = "Created; the answer has no body"),
        (status = 409, description = "The client has a limit already", body = ProblemBody, content_type = "application/problem+json"),
        crate::openapi::WriteProblems, crate::openapi::CommonProblems,
    ),
)]
pub(crate) async fn create(State(plane): State<Plane>, headers: HeaderMap, body: Body) -> Result<StatusCode, Problem> {
    let (id, limit) = given(&headers, body).await?;
    plane.counted(plane.store.create_limit(&id, limit).await)?;
    Ok(StatusCode::CREATED)
}

/// Reads a limit. The client stands in the body or in the query.
#[utoipa::path(
    get, path = "/limits/get", operation_id = "getLimit", tag = "limits", params(ClientBody), request_body = Option<ClientBody>,
    responses(
        (status = 200, description = "The limit", body = LimitBody),
        (status = 404, description = "The client has no limit", body = ProblemBody, content_type = "application/problem+json"),
        crate::openapi::CommonProblems,
    ),
)]
pub(crate) async fn get_limit(
    State(plane): State<Plane>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<LimitBody>, Problem> {
    let id = named(query.as_deref(), &headers, body).await?;
    let StoredLimit { client_id, limit, .. } = plane.counted(plane.store.get_limit(&id).await)?;
    Ok(Json(LimitBody {
        client_id: client_id.as_str().to_owned(),
        capacity: limit.capacity(),
        rate_per_sec: limit.rate_per_sec(),
    }))
}

/// Changes a limit. The client keeps the tokens it has, up to the new capacity.
#[utoipa::path(
    put, path = "/limits/update", operation_id = "updateLimit", tag = "limits", request_body = LimitBody,
    responses(
        (status = 204, description = "Changed"),
        (status = 404, description = "The client has no limit", body = ProblemBody, content_type = "application/problem+json"),
        crate::openapi::WriteProblems, crate::openapi::CommonProblems,
    ),
)]
pub(crate) async fn update(State(plane): State<Plane>, headers: HeaderMap, body: Body) -> Result<StatusCode, Problem> {
    let (id, limit) = given(&headers, body).await?;
    let (capacity, rate) = (Some(limit.capacity()), Some(limit.rate_per_sec()));
    plane.counted(plane.store.update_limit(&id, capacity, rate).await)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a limit; the client falls back to the default limit. The client stands in the body or in the query.
#[utoipa::path(
    delete, path = "/limits/delete", operation_id = "deleteLimit", tag = "limits", params(ClientBody),
    request_body = Option<ClientBody>,
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "The client has no limit", body = ProblemBody, content_type = "application/problem+json"),
        crate::openapi::WriteProblems, crate::openapi::CommonProblems,
    ),
)]
pub(crate) async fn delete_limit(
    State(plane): State<Plane>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let id = named(query.as_deref(), &headers, body).await?;
    plane.counted(plane.store.delete_limit(&id).await)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The client and the limit that a body says.
async fn given(headers: &HeaderMap, body: Body) -> Result<(ClientId, Limit), Problem> {
    let body = object(headers, body).await?;
    let id = ClientId::new(body.text("client_id")?)?;
    Ok((id, Limit::new(body.number("capacity")?, body.number("rate_per_sec")?)?))
}

/// The query beats the body.
async fn named(query: Option<&str>, headers: &HeaderMap, body: Body) -> Result<ClientId, Problem> {
    let body = optional_object(headers, body).await?;
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let from_query = pairs.into_iter().find(|(key, _)| key == "client_id");
    match (from_query, body) {
        (Some((_, id)), _) => Ok(ClientId::existing(&id)?),
        (None, Some(body)) => Ok(ClientId::existing(body.text("client_id")?)?),
        (None, None) => {
            Err(Problem::bad_request("client_id: expected it in a JSON body or as ?client_id=, but there is neither"))
        }
    }
}

/// Legacy clients parse whole numbers as such: 10, not 10.0. Above 2^53 a double is no exact count any more.
fn plain_number<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        serializer.serialize_i64(*number as i64)
    } else {
        serializer.serialize_f64(*number)
    }
}
