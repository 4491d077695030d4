-- The change of `updateProgress` as one statement, with one user for each client. The server's statement gets the numbers
-- from the statement before it, and changes nothing if they are no longer true. This one reads them where it needs them.
WITH bumped AS (
  UPDATE topaz_user SET library_version = library_version + 1,
    library_counted = CASE WHEN library_counted = library_version THEN library_version + 1 ELSE 0 END
  WHERE subject = 'user-' || :client_id
    AND EXISTS (SELECT 1 FROM topaz_progress WHERE user_id = 'user-' || :client_id AND id = {progress})
  RETURNING library_version AS version, library_epoch AS epoch
), stored AS (
  UPDATE topaz_progress SET stamp = version, current_chapter = current_chapter + 1, search_key = '',
    updated_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
  FROM bumped WHERE user_id = 'user-' || :client_id AND id = {progress}
), recorded AS (
  INSERT INTO topaz_field_change (user_id, kind, id, stamp, changed_at, field, was, other_stamp)
  SELECT 'user-' || :client_id, 'Progress', changed.id, version, (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
    changed.field, changed.was, coalesce((
      SELECT CASE WHEN (SELECT w.device_id FROM topaz_write w
          WHERE w.user_id = 'user-' || :client_id AND w.epoch = bumped.epoch AND w.version = c.stamp) = ''
          AND c.other_stamp >= 0 THEN c.other_stamp ELSE c.stamp END
      FROM topaz_field_change c
      WHERE c.user_id = 'user-' || :client_id AND c.kind = 'Progress' AND c.id = changed.id AND c.field = changed.field
      ORDER BY c.stamp DESC LIMIT 1
    ), 0)
  FROM bumped CROSS JOIN (
    SELECT {progress} AS id, field, was FROM (VALUES ('currentChapter', '3')) AS one (field, was)
  ) AS changed
), logged AS (
  INSERT INTO topaz_write (user_id, epoch, version, kinds, written_at, total)
  SELECT 'user-' || :client_id, epoch, version, 'Progress', (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
    201 + coalesce((SELECT total FROM topaz_write WHERE user_id = 'user-' || :client_id
      ORDER BY topaz_write.epoch DESC, topaz_write.version DESC LIMIT 1), 0)
  FROM bumped
)
SELECT version FROM bumped;
