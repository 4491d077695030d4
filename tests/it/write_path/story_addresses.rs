//! Normalized story addresses are unique per user.

use serde_json::{Value, json};

use crate::{
    database::schema_upgrade::migrate,
    support::test_app::{TestApp, on_each_database},
};

fn story(url: &str) -> Value {
    json!({"title": "A", "url": url})
}

on_each_database! {
    async fn spellings_of_one_address_are_one_story_and_the_first_is_shown(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let first = ann.create_story(story("HTTPS://E.example:443/Works/1#top")).await;
        assert_eq!(first["progress"]["story"]["url"], "HTTPS://E.example:443/Works/1#top");
        let id = &first["progress"]["story"]["id"];
        for other in ["https://e.example/Works/1", "http://e.example/Works/1", "https://E.EXAMPLE./Works/1#end", " https://e.example/x/../Works/1 "] {
            let refused = ann.create_story(story(other)).await;
            assert_eq!((&refused["refusal"]["code"], &refused["refusal"]["existingId"]), (&json!("ALREADY_EXISTS"), id), "{other}");
        }
        assert_eq!(ann.version().await, 2);
        let imported = ann.mutate("importLibrary", "ImportLibraryInput", json!({"entries": [story("https://e.example/Works/1"), story("https://e.example/works/1"), story("https://e.example:443/works/1")]}), "importedCount duplicateCount").await;
        assert_eq!((&imported["importedCount"], &imported["duplicateCount"]), (&json!(1), &json!(2)));

        // A story's own address may change its spelling, but not to that of another story.
        let written = ann.update_story(json!({"id": id, "url": "https://e.example/Works/1"})).await;
        assert_eq!((&written["libraryVersion"], &written["refusal"]), (&json!(4), &json!(null)));
        let refused = ann.update_story(json!({"id": id, "url": "https://e.example/works/1?#"})).await;
        assert_eq!(refused["refusal"], json!(null), "an empty query is another address");
        let refused = ann.update_story(json!({"id": id, "url": "https://e.example/works/1#x"})).await;
        assert_eq!(refused["refusal"]["code"], "ALREADY_EXISTS");
    }

    async fn an_address_that_a_browser_resolves_differently_is_refused(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let create = "mutation ($input: CreateStoryWithProgressInput!) { createStoryWithProgress(input: $input) { libraryVersion } }";
        for url in ["https:e.example/1", r"https:\\e.example", "https:///e.example", "https://archiveofourown.org@e.example/", "javascript:alert(1)", "urn:x"] {
            let code = ann.refused(create, json!({"input": story(url)})).await;
            assert_eq!(code, "BAD_USER_INPUT", "{url}");
        }
        assert_eq!(ann.create_story(story("urn:isbn:9780000000001")).await["refusal"], json!(null));
        assert_eq!(ann.version().await, 2);
    }

    async fn older_stories_keep_their_spelling_and_duplicates_are_kept(db: Db) {
        let mut app = TestApp::start(db).await;
        let ann = app.user("ann");
        for n in 0..3 {
            ann.create_story(story(&format!("https://e.example/{n}"))).await;
        }
        app.stop().await;
        let below = "m20261126_000019_story_address";
        while !migrate(&app.db, &["status"]).lines().any(|line| line.contains(below) && line.contains("pending")) {
            migrate(&app.db, &["down", "--steps", "1"]);
        }
        for (n, url) in [(0, "HTTPS://e.example/0"), (1, "https://E.EXAMPLE/2")] {
            app.db.execute(&format!("UPDATE topaz_story SET url = '{url}' WHERE url = 'https://e.example/{n}'")).await;
        }
        let app = app.restart(&[]).await;
        let ann = app.user("ann");
        let urls = "{ progresses(orderBy: {field: CREATED_AT, direction: ASC}) { nodes { story { url } } } }";
        let shown = ann.ask(urls, json!({})).await;
        let shown: Vec<_> = (0..3).map(|n| shown["progresses"]["nodes"][n]["story"]["url"].as_str().unwrap()).collect();
        assert_eq!(shown, ["HTTPS://e.example/0", "https://E.EXAMPLE/2", "https://e.example/2"]);
        assert_eq!(ann.create_story(story("https://e.example/0")).await["refusal"]["code"], "ALREADY_EXISTS");
        // The duplicate can be edited, but not to the spelling of the other.
        let ids = ann.ask("{ progresses(orderBy: {field: CREATED_AT, direction: ASC}) { nodes { story { id } } } }", json!({})).await;
        let twin = &ids["progresses"]["nodes"][1]["story"]["id"];
        let edited = ann.update_story(json!({"id": twin, "summary": "mine"})).await;
        assert_eq!((&edited["refusal"], &edited["libraryVersion"]), (&json!(null), &json!(5)));
        let refused = ann.update_story(json!({"id": twin, "url": "https://e.example/2#x"})).await;
        assert_eq!(refused["refusal"]["code"], "ALREADY_EXISTS");
        assert_eq!(ann.version().await, 5);
    }
}
