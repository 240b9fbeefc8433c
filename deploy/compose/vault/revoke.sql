ALTER ROLE "{{name}}" NOLOGIN;
GRANT "{{name}}" TO CURRENT_USER;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}';
REASSIGN OWNED BY "{{name}}" TO shop_owner;
DROP OWNED BY "{{name}}";
DROP ROLE "{{name}}";
