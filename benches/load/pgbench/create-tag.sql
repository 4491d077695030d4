-- The statements that the server sends for `createTag`, with one user for each client.
BEGIN ISOLATION LEVEL READ COMMITTED;
UPDATE topaz_user SET library_version = library_version + 1,
    library_counted = CASE WHEN library_counted = library_version THEN library_version + 1 ELSE 0 END
  WHERE subject = 'user-' || :client_id AND library_version < 2147483647
  RETURNING library_version, library_epoch, library_floor, library_erased, signed_out_at, library_counted, library_stories,
    library_tags, library_fandoms, library_bytes, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_millis \gset
INSERT INTO topaz_tag (user_id, id, stamp, created_stamp, name, name_key, created_at, updated_at)
  SELECT 'user-' || :client_id, id, :library_version, :library_version, id::text, id::text, 0, 0
  FROM gen_random_uuid() AS id ON CONFLICT DO NOTHING;
WITH sized AS (
  UPDATE topaz_user SET library_stories = library_stories + 0, library_tags = library_tags + 1,
    library_fandoms = library_fandoms + 0, library_bytes = library_bytes + 36
  WHERE subject = 'user-' || :client_id
)
INSERT INTO topaz_write (user_id, epoch, version, kinds, written_at, total)
  VALUES ('user-' || :client_id, :library_epoch, :library_version, 'Tag', (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
    200 + coalesce((SELECT total FROM topaz_write WHERE user_id = 'user-' || :client_id
      ORDER BY epoch DESC, version DESC LIMIT 1), 0))
  RETURNING total,
    (SELECT total FROM topaz_write WHERE user_id = 'user-' || :client_id ORDER BY epoch, version LIMIT 1) AS oldest;
COMMIT;
