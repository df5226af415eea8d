//! What a caller may ask for, and the targets that can answer it.

use std::fmt;
use std::sync::Arc;

use prost::Message;
use vocab::{ModelName, ProviderName, UpstreamModel};

use crate::provider::Provider;
use crate::rejected::Fault;

/// Linked to its providers when the snapshot is made, so that a request has nothing left to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub name: ModelName,
    /// In the order they are to be tried.
    pub targets: Box<[Target]>,
    /// Those that cannot be tried, and why.
    pub skipped: Arc<[Skipped]>,
    wanted: Arc<[Wanted]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub provider: Arc<Provider>,
    pub model: UpstreamModel,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub provider: ProviderName,
    pub model: UpstreamModel,
    pub why: Gap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    Missing,
    Quarantined,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Gap::Missing => "there is no such provider",
            Gap::Quarantined => "the provider was not understood",
        })
    }
}

/// A target as the operator named it.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    provider: ProviderName,
    model: UpstreamModel,
}

/// Where a provider is found, or why not.
pub(crate) type Find<'a> = dyn Fn(&ProviderName) -> Result<Arc<Provider>, Gap> + 'a;

impl Model {
    pub(crate) fn name_of(id: &[u8]) -> Result<ModelName, Fault> {
        let id = std::str::from_utf8(id).map_err(|_| Fault::IdText)?;
        ModelName::new(id).map_err(Fault::Id)
    }

    pub(crate) fn read(resource: &wire::Resource, find: &Find<'_>) -> Result<Model, Fault> {
        let name = Model::name_of(&resource.id)?;
        let body = wire::Model::decode(&*resource.body)?;
        if body.targets.is_empty() {
            return Err(Fault::NoTargets);
        }
        let wanted = body.targets.iter().map(|target| {
            let (provider, model) = (ProviderName::new(&target.provider)?, UpstreamModel::new(&target.model)?);
            Ok(Wanted { provider, model })
        });
        Ok(Model::link(name, wanted.collect::<Result<_, Fault>>()?, find))
    }

    /// The same model among other providers.
    pub(crate) fn relinked(&self, find: &Find<'_>) -> Model {
        Model::link(self.name.clone(), Arc::clone(&self.wanted), find)
    }

    pub(crate) fn refers_to(&self, mut is_meant: impl FnMut(&ProviderName) -> bool) -> bool {
        self.wanted.iter().any(|wanted| is_meant(&wanted.provider))
    }

    fn link(name: ModelName, wanted: Arc<[Wanted]>, find: &Find<'_>) -> Model {
        let (mut targets, mut skipped) = (Vec::new(), Vec::new());
        for Wanted { provider, model } in &*wanted {
            let (provider, model) = (provider.clone(), model.clone());
            match find(&provider) {
                Ok(provider) => targets.push(Target { provider, model }),
                Err(why) => skipped.push(Skipped { provider, model, why }),
            }
        }
        Model { name, targets: targets.into(), skipped: skipped.into(), wanted }
    }
}
