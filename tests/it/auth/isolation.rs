//! Users are isolated: no query, mutation or stream reveals another user's rows.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    support::test_app::{TestApp, on_each_database},
    support::transport::Transport,
    sync::library_events::{By, Events},
};

on_each_database! {
    async fn ids_of_another_user_are_not_found_by_any_query(db: Db) {
        let app = TestApp::start(db).await;
        let entry = app.user("ann").add("A").await["progress"].take();
        let bob = app.user("bob");
        let query = "query ($progress: ID!, $story: ID!) { progress(id: $progress) { id } story(id: $story) { id } }";
        let theirs = bob.ask(query, json!({"progress": entry["id"], "story": entry["story"]["id"]})).await;
        let unknown = bob.ask(query, json!({"progress": Uuid::now_v7(), "story": Uuid::now_v7()})).await;
        assert_eq!(theirs, json!({"progress": null, "story": null}));
        assert_eq!(theirs, unknown);
        let lists = bob.ask("{ progresses { totalCount edges { cursor } } tags { id } fandoms { id } }", json!({})).await;
        assert_eq!(lists, json!({"progresses": {"totalCount": 0, "edges": []}, "tags": [], "fandoms": []}));
    }

    async fn ids_of_another_user_are_not_found_by_any_mutation(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let tag = ann.create_tag("hers").await["tag"].take();
        let fandom = ann.mutate("createFandom", "CreateLabelInput", json!({"name": "hers"}), "fandom { id }").await["fandom"].take();
        let entry = ann.add("A").await["progress"].take();
        let own = bob.add("B").await["progress"].take();

        for (theirs, unknown) in [(entry["id"].clone(), json!(Uuid::now_v7())), (entry["story"]["id"].clone(), json!(Uuid::now_v7()))] {
            for (a, b) in [
                (bob.update_progress(json!({"id": theirs, "currentChapter": 9})).await, bob.update_progress(json!({"id": unknown, "currentChapter": 9})).await),
                (bob.delete_progress(&theirs).await, bob.delete_progress(&unknown).await),
                (bob.update_story(json!({"id": theirs, "title": "mine"})).await, bob.update_story(json!({"id": unknown, "title": "mine"})).await),
            ] {
                assert_eq!(a["refusal"]["code"], "NOT_FOUND");
                assert_eq!(masked(&a, &theirs), masked(&b, &unknown));
            }
        }
        for (field, id) in [("tagIds", &tag["id"]), ("fandomIds", &fandom["id"])] {
            let update = async |id: &Value| bob.update_story(json!({"id": own["story"]["id"], field: [id]})).await;
            let create = async |id: &Value| {
                bob.create_story(json!({"title": "C", "url": "https://example.org/c", field: [id]})).await
            };
            let unknown = json!(Uuid::now_v7());
            for (theirs, nobodys) in [(update(id).await, update(&unknown).await), (create(id).await, create(&unknown).await)] {
                assert_eq!((&theirs["refusal"]["code"], &theirs["refusal"]["field"]), (&json!("NOT_FOUND"), &json!(field)));
                assert_eq!(masked(&theirs, id), masked(&nobodys, &unknown));
            }
        }

        assert_eq!((ann.version().await, bob.version().await), (4, 2));
        let still = ann.ask("query ($id: ID!) { progress(id: $id) { currentChapter story { title } } }", json!({"id": entry["id"]})).await;
        assert_eq!(still, json!({"progress": {"currentChapter": 0, "story": {"title": "A"}}}));
    }

    async fn a_cursor_of_another_user_returns_only_own_rows(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let mut own = Vec::new();
        for title in ["A", "B", "C"] {
            ann.add(title).await;
            own.push(bob.add(title).await["progress"]["id"].take());
        }
        let list = "query ($after: String, $first: Int! = 1) { progresses(first: $first, after: $after) { edges { node { id } } pageInfo { endCursor } } }";
        let hers = ann.ask(list, json!({})).await["progresses"]["pageInfo"]["endCursor"].take();
        let page = bob.ask(list, json!({"after": hers, "first": 9})).await["progresses"].take();
        assert!(page["edges"].as_array().unwrap().iter().all(|edge| own.contains(&edge["node"]["id"])), "{page}");

        let changes = "query ($after: String) { libraryChanges(since: 0, first: 1, after: $after) { reset endCursor changes { ... on Story { id } ... on Progress { id } } } }";
        let hers = ann.ask(changes, json!({})).await["libraryChanges"]["endCursor"].take();
        let theirs = ann.ask(changes, json!({"after": hers})).await["libraryChanges"]["changes"].take();
        let page = bob.ask(changes, json!({"after": hers})).await["libraryChanges"].take();
        assert!(page["reset"] == true || page["changes"] != theirs, "{page}");
        let stories = ann.ask("{ progresses { edges { node { id storyId } } } }", json!({})).await.to_string();
        for change in page["changes"].as_array().unwrap() {
            assert!(!stories.contains(change["id"].as_str().unwrap()), "{page}");
        }
    }

    async fn two_users_may_use_the_same_ids_urls_and_names_independently(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let (story, progress) = (Uuid::now_v7(), Uuid::now_v7());
        let input = json!({"title": "A", "url": "https://example.org/a", "storyId": story, "progressId": progress});
        for user in [&ann, &bob] {
            let made = user.create_story(input.clone()).await;
            assert_eq!((&made["refusal"], &made["libraryVersion"]), (&Value::Null, &json!(2)));
            assert_eq!(user.create_tag("same").await["libraryVersion"], 3);
        }
        bob.update_story(json!({"id": story, "title": "his"})).await;
        bob.delete_progress(&json!(progress)).await;
        let hers = ann.ask("query ($id: ID!) { story(id: $id) { title stamp } }", json!({"id": story})).await;
        assert_eq!(hers, json!({"story": {"title": "A", "stamp": 2}}));
    }

    async fn fandoms_of_another_user_are_not_found(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let fandom = ann.mutate("createFandom", "CreateLabelInput", json!({"name": "hers"}), "fandom { id }").await["fandom"]["id"].take();
        let own = bob.add("B").await["progress"].take();
        for (theirs, unknown) in [(json!([fandom]), json!([Uuid::now_v7()]))] {
            let url = "https://example.org/c";
            for (a, b) in [
                (bob.update_story(json!({"id": own["story"]["id"], "fandomIds": theirs})).await, bob.update_story(json!({"id": own["story"]["id"], "fandomIds": unknown})).await),
                (bob.create_story(json!({"title": "C", "url": url, "fandomIds": theirs})).await, bob.create_story(json!({"title": "C", "url": url, "fandomIds": unknown})).await),
                (bob.mutate("renameFandom", "RenameLabelInput", json!({"id": theirs[0], "name": "his"}), "").await, bob.mutate("renameFandom", "RenameLabelInput", json!({"id": unknown[0], "name": "his"}), "").await),
                (bob.mutate("deleteFandom", "DeleteLabelInput", json!({"id": theirs[0]}), "").await, bob.mutate("deleteFandom", "DeleteLabelInput", json!({"id": unknown[0]}), "").await),
            ] {
                assert_eq!(a["refusal"]["code"], "NOT_FOUND", "{a}");
                assert_eq!(masked(&a, &theirs[0]), masked(&b, &unknown[0]));
            }
        }
        assert_eq!((ann.version().await, bob.version().await), (2, 2));
        assert_eq!(ann.ask("{ fandoms { name storyCount } }", json!({})).await["fandoms"], json!([{"name": "hers", "storyCount": 0}]));
    }

    async fn cursors_of_another_user_page_through_the_own_library(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let mut own = Vec::new();
        for n in 0..3 {
            bob.add(&format!("his {n}")).await;
            own.push(ann.add(&format!("hers {n}")).await["progress"]["id"].take());
        }
        bob.add("his last").await;
        for order in ["STAMP", "TITLE", "CREATED_AT"] {
            let query = format!("query ($after: String) {{ progresses(first: 2, after: $after, orderBy: {{field: {order}, direction: ASC}}) {{ totalCount edges {{ cursor node {{ id }} }} }} }}");
            let his = bob.ask(&query, json!({})).await;
            for edge in his["progresses"]["edges"].as_array().unwrap() {
                let page = ann.ask(&query, json!({"after": edge["cursor"]})).await["progresses"].take();
                assert_eq!(page["totalCount"], 3);
                for edge in page["edges"].as_array().unwrap() {
                    assert!(own.contains(&edge["node"]["id"]), "{order}: {page}");
                }
            }
        }
        let query = "query ($after: String) { libraryChanges(since: 0, first: 1, after: $after) { version endCursor changes { ... on Progress { story { title } } ... on Story { title } } } }";
        let mut after = Value::Null;
        for _ in 0..4 {
            after = bob.ask(query, json!({"after": after})).await["libraryChanges"]["endCursor"].take();
            let page = ann.ask(query, json!({"after": after})).await["libraryChanges"].take();
            assert_eq!(page["version"], 4);
            assert!(!page["changes"].to_string().contains("his"), "{page}");
        }
    }

    async fn no_stream_delivers_a_change_of_another_user(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let mut versions = Vec::new();
        for transport in Transport::ALL {
            versions.push((transport, transport.open(&app, &ann.token).await.unwrap()));
        }
        let mut events = Vec::new();
        for by in [By::Sse, By::Multipart, By::Websocket] {
            let mut stream = Events::open_by(by, &ann).await;
            assert_eq!(stream.next_change().await["version"], 1, "{by:?}");
            events.push((by, stream));
        }
        bob.add("B").await;
        bob.add("C").await;
        ann.create_tag("t").await;
        for (transport, mut stream) in versions {
            // An event of his changes would come before the event of her own change.
            assert_eq!(stream.until(2).await, [1, 2], "{transport}");
        }
        for (by, stream) in &mut events {
            let event = stream.next_change().await;
            assert_eq!((&event["version"], &event["changed"]), (&json!(2), &json!(["TAG"])), "{by:?}");
        }
    }
}

/// The response without the requested id.
fn masked(response: &Value, id: &Value) -> String {
    let version = response["libraryVersion"].clone();
    assert_eq!(version, json!(2));
    response.to_string().replace(id.as_str().unwrap(), "ID")
}
