//! Walking through all limits.

use anyhow::Result;
use balancer_proto::v1::ListLimitsRequest;

use crate::{client::Client, view::limit::LimitRow};

/// Limits asked for at a time.
const PAGE_SIZE: u32 = 5000;

/// All limits whose client starts with a prefix, a page at a time.
pub(super) struct Pages<'a> {
    client: &'a Client,
    prefix: String,
    /// `None` after the last page.
    token: Option<String>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(client: &'a Client, prefix: String) -> Self {
        Self { client, prefix, token: Some(String::new()) }
    }

    /// The next page of at most `most` limits; `None` after the last.
    pub(super) async fn next(&mut self, most: u64) -> Result<Option<Vec<LimitRow>>> {
        let Some(page_token) = self.token.take() else { return Ok(None) };
        let page_size = u32::try_from(most).map_or(PAGE_SIZE, |most| most.min(PAGE_SIZE));
        let request = ListLimitsRequest { prefix: self.prefix.clone(), page_size, page_token };
        let answer = self.client.limits().list_limits(self.client.request(request)).await;
        let page = answer.map_err(|s| self.client.explain(&s))?.into_inner();
        self.token = Some(page.next_page_token).filter(|token| !token.is_empty());
        Ok(Some(page.limits.into_iter().map(Into::into).collect()))
    }
}
