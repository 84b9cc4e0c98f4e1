WITH u AS (SELECT * FROM "dev"."public"."auto_classification_logs" WHERE user_id=211) SELECT t.year, t.month, u.ground_profile,
COUNT(*) FROM u LEFT OUTER JOIN "dev"."public"."time" AS t ON u.created_at = t.created_at GROUP BY t.year, t.month,
u.ground_profile HAVING t.year = 2021 ORDER BY t.month, u.ground_profile;
