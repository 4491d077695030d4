//! Reading a library through GraphQL.

use serde_json::{Value, json};

use crate::support::test_app::{TestApp, TestDatabase, TestProcess, on_each_database};

on_each_database! {
    async fn progresses_are_listed_by_newest_change_and_paged_without_gap_or_repeat(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let mut ids = Vec::new();
        for n in 0..7 {
            ids.push(ann.add(&format!("story {n}")).await["progress"]["id"].take());
        }
        ann.update_progress(json!({"id": ids[2], "currentChapter": 1})).await;
        let expected: Vec<_> = [2, 6, 5, 4, 3, 1, 0].map(|n| ids[n].clone()).into();

        let query = "query ($after: String) { progresses(first: 3, after: $after) { totalCount pageInfo { hasNextPage endCursor } edges { cursor node { id } } } }";
        let (mut seen, mut after) = (Vec::new(), Value::Null);
        loop {
            let page = ann.ask(query, json!({"after": after})).await["progresses"].take();
            assert_eq!(page["totalCount"], 7);
            let edges = page["edges"].as_array().unwrap();
            assert_eq!(page["pageInfo"]["endCursor"], edges[edges.len() - 1]["cursor"]);
            seen.extend(edges.iter().map(|edge| edge["node"]["id"].clone()));
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(seen, expected);
    }

    async fn the_page_size_is_limited_and_an_invalid_cursor_is_refused(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for arguments in ["first: -1", "first: 101", "after: \"x\"", "after: \"AAAA\""] {
            let query = format!("{{ progresses({arguments}) {{ edges {{ cursor }} }} }}");
            assert_eq!(ann.refused(&query, json!({})).await, "BAD_USER_INPUT", "{arguments}");
        }
        let none = ann.ask("{ progresses(first: 0) { edges { cursor } pageInfo { hasNextPage } } }", json!({})).await;
        assert_eq!(none["progresses"], json!({"edges": [], "pageInfo": {"hasNextPage": false}}));
    }

    async fn relations_lead_from_a_progress_to_its_story_its_labels_and_back(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("b tag").await["tag"].take();
        let other = ann.create_tag("A tag").await["tag"].take();
        let input = json!({"title": "A", "url": "https://archiveofourown.org/works/1", "tagIds": [tag["id"], other["id"]], "rating": 3.7});
        let made = ann.create_story(input).await["progress"].take();
        let query = "query ($id: ID!) { progress(id: $id) { id readingStatus currentChapter rating notes stamp story { id title author url source publicationStatus stamp tags { id name } fandoms { id name } } } }";
        let read = ann.ask(query, json!({"id": made["id"]})).await["progress"].take();
        assert_eq!(read, made, "a payload equals a later read");
        assert_eq!(made["story"]["source"], "ARCHIVE_OF_OUR_OWN");
        assert_eq!(made["story"]["tags"], json!([other, tag]), "by name, ignoring case");
        let back = ann.ask("query ($id: ID!) { story(id: $id) { progress { id } } }", json!({"id": made["story"]["id"]})).await;
        assert_eq!(back["story"]["progress"]["id"], made["id"]);
    }

    async fn a_list_and_a_delta_hold_no_entry_without_its_story_however_many_are_deleted_meanwhile(db: Db) {
        let app = TestApp::start_with(db, &["--max-user-rate", "0", "--max-address-rate", "0"]).await;
        let ann = app.user("ann");
        let entries = (0..100).map(|n| json!({"title": format!("{n}"), "url": format!("https://example.org/{n}")}));
        let input = json!({"entries": entries.collect::<Vec<_>>()});
        let mut all = ann.mutate("importLibrary", "ImportLibraryInput", input, "importedCount").await;
        assert_eq!(all["importedCount"].take(), 100);
        let ids = ann.ask("{ progresses(first: 100) { nodes { id } } }", json!({})).await;
        let mut left = ids["progresses"]["nodes"].as_array().unwrap().clone();
        let deletes = async {
            while let Some(entry) = left.pop() {
                assert_eq!(ann.delete_progress(&entry["id"]).await["refusal"], Value::Null);
            }
        };
        let lists = async {
            let query = "{ progresses(first: 100) { edges { node { id ...S } } nodes { ...S } } libraryChanges(since: 0) { changes { ...S } } } fragment S on Progress { story { id tags { id } } }";
            loop {
                let list = ann.send(query, json!({})).await;
                assert!(list.get("errors").is_none(), "{list}");
                if list["data"]["progresses"]["nodes"] == json!([]) {
                    break;
                }
            }
        };
        tokio::join!(deletes, lists);
    }

    async fn every_response_has_the_minimum_version_of_its_data(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let read = ann.send("{ viewer { id libraryVersion } }", json!({})).await;
        assert_eq!(read["extensions"]["libraryVersion"], 1);
        assert_eq!(read["data"]["viewer"], json!({"id": "ann", "libraryVersion": 1}));
        let write = ann.send("mutation { createTag(input: {name: \"x\"}) { libraryVersion } }", json!({})).await;
        assert_eq!(write["extensions"]["libraryVersion"], 2);
    }

    async fn a_list_of_a_hundred_costs_as_many_statements_as_a_list_of_ten(db: Db) {
        // A separate process, so that its counters count only this test.
        let database = TestDatabase::new(db).await;
        let server = TestProcess::serve(&database.url, &[]).await;
        let create = "mutation ($t: String!, $u: String!, $tags: [ID!], $fandoms: [ID!]) { createStoryWithProgress(input: {title: $t, url: $u, tagIds: $tags, fandomIds: $fandoms}) { progress { id } } }";
        let labels = server.send("ann", "mutation { tag: createTag(input: {name: \"t\"}) { tag { id } } fandom: createFandom(input: {name: \"f\"}) { fandom { id } } }", json!({})).await.unwrap();
        let (tag, fandom) = (&labels["data"]["tag"]["tag"]["id"], &labels["data"]["fandom"]["fandom"]["id"]);
        for n in 0..100 {
            let variables = json!({"t": format!("story {n}"), "u": format!("https://example.org/{n}"), "tags": [tag], "fandoms": [fandom]});
            let made = server.send("ann", create, variables).await.unwrap();
            assert!(made["data"]["createStoryWithProgress"]["progress"]["id"].is_string(), "{made}");
        }
        let list = "query ($first: Int!) { progresses(first: $first) { totalCount edges { node { id story { title tags { name } fandoms { name } } } } } }";
        let mut counts: Vec<f64> = Vec::new();
        for first in [10, 100] {
            let (count, page) = server.statements(|| server.send("ann", list, json!({"first": first}))).await;
            let page = page.unwrap();
            let edges = page["data"]["progresses"]["edges"].as_array().unwrap_or_else(|| panic!("{page}"));
            assert_eq!(edges.len(), first);
            assert_eq!(edges[first - 1]["node"]["story"]["tags"], json!([{"name": "t"}]));
            counts.push(count);
        }
        // The head, the page with its stories, the count, the tags, the fandoms.
        assert_eq!(counts, [5.0, 5.0]);
    }
}
