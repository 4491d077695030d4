-- The statement that the server sends before the change of `updateProgress`: it reads all that the change depends on.
SELECT u.library_epoch, u.library_version, u.library_erased, u.signed_out_at,
  u.library_counted = u.library_version AS is_counted,
  u.library_stories AS stories, u.library_tags AS tags, u.library_fandoms AS fandoms, u.library_bytes AS bytes,
  p.user_id, p.id, p.stamp, p.created_stamp, p.story_id, p.status, p.current_chapter, p.rating, p.notes,
  '' AS search_key, p.created_at, p.updated_at,
  (SELECT total FROM topaz_write WHERE user_id = 'user-' || :client_id ORDER BY epoch DESC, version DESC LIMIT 1) AS newest_total,
  (SELECT total FROM topaz_write WHERE user_id = 'user-' || :client_id ORDER BY epoch, version LIMIT 1) AS oldest_total,
  false AS has_receipt, CAST(0 AS bigint) AS receipts,
  (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_millis
FROM topaz_user u JOIN topaz_progress p ON p.user_id = u.subject AND p.id = {progress}
WHERE u.subject = 'user-' || :client_id;
