//! Tags: names of versions.

use syncline_api::{Code, Problem};
use syncline_model::ids::{Name, Version};
use syncline_model::json::{Fields, Json, Pointer};
use syncline_model::proposal::Operation;

use crate::answer;
use crate::ask::{Answer, Ask, JSON};
use crate::contexts::view;

/// `GET /v1/contexts/{kind}/{id}/tags`
pub(crate) async fn list(ask: Ask) -> Answer {
    let (workspace, principal, address) = (ask.workspace()?, ask.principal()?, ask.address()?);
    ask.wait_for_min_cursor(&workspace).await?;
    let tags = workspace.tags(&principal, &address).await?;
    Ok(answer::written(|w| {
        w.begin_object();
        w.field_json("tags", &Json::Object(tags));
        w.end_object();
    }))
}

/// `POST /v1/contexts/{kind}/{id}/tags`
pub(crate) async fn put(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let mut fields = Fields::new(&body, &Pointer::root())?;
    let name = fields.required_parse("name", Name::parse)?;
    let version = fields.u64("version")?.map(Version);
    fields.finish()?;
    let (workspace, principal, address) = (ask.workspace()?, ask.principal()?, ask.address()?);
    let proposal = ask.proposal_for(address.clone(), Operation::Merge, Json::Null)?;
    let receipt = workspace
        .put_tag(&principal, &address, (&name, version), proposal)
        .await?;
    let view = view(&workspace, &principal, &receipt).await;
    Ok(answer::receipt_at(&view, None))
}

/// `DELETE /v1/contexts/{kind}/{id}/tags/{name}`
pub(crate) async fn remove(mut ask: Ask) -> Answer {
    ask.no_body().await?;
    let name = ask.path.get(2).map_or("", String::as_str);
    let name = Name::parse(name).map_err(|error| Problem::new(Code::Invalid, error.to_string()))?;
    let (workspace, principal, address) = (ask.workspace()?, ask.principal()?, ask.address()?);
    let proposal = ask.proposal_for(address.clone(), Operation::Merge, Json::Null)?;
    let receipt = workspace
        .remove_tag(&principal, &address, &name, proposal)
        .await?;
    let view = view(&workspace, &principal, &receipt).await;
    Ok(answer::receipt_at(&view, None))
}
