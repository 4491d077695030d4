//! Another user's rows are as if they did not exist: in every query, every mutation, every stream.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_app::{TestApp, on_each_database};

on_each_database! {
    async fn another_users_ids_answer_as_unknown_in_every_query(db: Db) {
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

    async fn another_users_ids_answer_as_unknown_in_every_mutation(db: Db) {
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
                (bob.update_story(json!({"storyId": theirs, "title": "mine"})).await, bob.update_story(json!({"storyId": unknown, "title": "mine"})).await),
            ] {
                assert_eq!(a["refusal"]["code"], "NOT_FOUND");
                assert_eq!(masked(&a, &theirs), masked(&b, &unknown));
            }
        }
        for (field, id) in [("tagIds", &tag["id"]), ("fandomIds", &fandom["id"])] {
            let update = async |id: &Value| bob.update_story(json!({"storyId": own["story"]["id"], field: [id]})).await;
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

    async fn another_users_cursor_leads_to_ones_own_rows_alone(db: Db) {
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

    async fn two_users_may_hold_the_same_ids_urls_and_names_and_never_meet(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let (story, progress) = (Uuid::now_v7(), Uuid::now_v7());
        let input = json!({"title": "A", "url": "https://example.org/a", "storyId": story, "progressId": progress});
        for user in [&ann, &bob] {
            let made = user.create_story(input.clone()).await;
            assert_eq!((&made["refusal"], &made["libraryVersion"]), (&Value::Null, &json!(2)));
            assert_eq!(user.create_tag("same").await["libraryVersion"], 3);
        }
        bob.update_story(json!({"storyId": story, "title": "his"})).await;
        bob.delete_progress(&json!(progress)).await;
        let hers = ann.ask("query ($id: ID!) { story(id: $id) { title stamp } }", json!({"id": story})).await;
        assert_eq!(hers, json!({"story": {"title": "A", "stamp": 2}}));
    }

    async fn a_stream_never_tells_of_another_users_change(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let mut watch = ann.watch().await;
        bob.add("B").await;
        bob.add("C").await;
        ann.add("A").await;
        assert_eq!(watch.until(2).await, [1, 2]);
    }
}

/// The answer with the id that was asked for taken out.
fn masked(answer: &Value, id: &Value) -> String {
    let version = answer["libraryVersion"].clone();
    assert_eq!(version, json!(2));
    answer.to_string().replace(id.as_str().unwrap(), "ID")
}
