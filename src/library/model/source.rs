//! Sources: the sites that publish stories.

use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};
use url::Url;

/// The site that publishes a story.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[expect(missing_docs, reason = "each variant is the name of a site")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Source {
    ArchiveOfOurOwn,
    #[serde(rename = "FANFICTION_NET")]
    FanFictionNet,
    Wattpad,
    SpaceBattles,
    SufficientVelocity,
    QuestionableQuesting,
    RoyalRoad,
    WebNovel,
    ScribbleHub,
    NovelBin,
    Other,
}

impl Source {
    /// Detects the site of an address; [`Source::Other`] if unknown.
    pub fn of(url: &Url) -> Self {
        const HOSTS: [(&str, Source); 13] = [
            ("archiveofourown.org", Source::ArchiveOfOurOwn),
            ("ao3.org", Source::ArchiveOfOurOwn),
            ("fanfiction.net", Source::FanFictionNet),
            ("wattpad.com", Source::Wattpad),
            ("spacebattles.com", Source::SpaceBattles),
            ("sufficientvelocity.com", Source::SufficientVelocity),
            ("questionablequesting.com", Source::QuestionableQuesting),
            ("royalroad.com", Source::RoyalRoad),
            ("webnovel.com", Source::WebNovel),
            ("scribblehub.com", Source::ScribbleHub),
            ("novelbin.com", Source::NovelBin),
            ("novelbin.me", Source::NovelBin),
            ("novelbin.net", Source::NovelBin),
        ];
        let host = url.host_str().unwrap_or_default();
        let is_of = |site: &str| {
            host.strip_suffix(site)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        HOSTS
            .iter()
            .find(|(site, _)| is_of(site))
            .map_or(Self::Other, |(_, source)| *source)
    }
}
