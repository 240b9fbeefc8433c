// Facts about PostgreSQL's own relations, 15 to 18: which names mean one, and which of them can be
// written by writing a view of them. Ignorant of who may read or write them.

/** System tables, and system views that pass writes on (pg_settings does, by a rule). */
const updatable: ReadonlySet<string> = new Set(
  `pg_aggregate pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members pg_authid pg_cast
  pg_class pg_collation pg_constraint pg_conversion pg_database pg_db_role_setting pg_default_acl
  pg_depend pg_description pg_enum pg_event_trigger pg_extension pg_foreign_data_wrapper
  pg_foreign_server pg_foreign_table pg_group pg_index pg_inherits pg_init_privs pg_language
  pg_largeobject pg_largeobject_metadata pg_namespace pg_opclass pg_operator pg_opfamily
  pg_parameter_acl pg_partitioned_table pg_policy pg_proc pg_publication pg_publication_namespace
  pg_publication_rel pg_range pg_replication_origin pg_rewrite pg_seclabel pg_sequence pg_settings
  pg_shdepend pg_shdescription pg_shseclabel pg_stat_database_conflicts pg_statistic
  pg_statistic_ext pg_statistic_ext_data pg_subscription pg_subscription_rel pg_tablespace
  pg_transform pg_trigger pg_ts_config pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template
  pg_type pg_user_mapping sql_features sql_implementation_info sql_parts sql_sizing`.split(/\s+/),
)

/**
 * Whether a name means a relation of the server's own. Without a schema every pg_ name counts: it is
 * looked up in pg_catalog first, whatever the search path.
 */
export function isSystemRelation(schema: string | undefined, name: string): boolean {
  if (schema === undefined) return name.startsWith('pg_') || updatable.has(name)
  return schema === 'pg_catalog' || schema === 'information_schema' || schema.startsWith('pg_toast')
}

/** Whether updating a view of this relation alone would change it. */
export function isUpdatableCatalog(schema: string | undefined, name: string): boolean {
  return isSystemRelation(schema, name) && updatable.has(name)
}

/** Types, domains, collations, text search configurations and dictionaries that come with the server. */
const objects: ReadonlySet<string> = new Set(
  `bit bool box bpchar bytea char cidr circle date daterange datemultirange datetime float4 float8 inet
  int2 int2vector int4 int4multirange int4range int8 int8multirange int8range interval json jsonb jsonpath
  line lseg macaddr macaddr8 money name numeric nummultirange numrange oid oidvector path pg_lsn
  pg_snapshot point polygon record refcursor regclass regcollation regconfig regdictionary regnamespace
  regoper regoperator regproc regprocedure regrole regtype text tid time timestamp timestamptz timetz
  tsmultirange tsquery tsrange tstzmultirange tstzrange tsvector txid_snapshot unknown uuid varbit
  varchar void xid xid8 xml
  cardinal_number character_data sql_identifier time_stamp yes_or_no
  C POSIX default ucs_basic unicode pg_c_utf8 pg_unicode_fast
  arabic armenian basque catalan danish dutch english estonian finnish french german greek hindi
  hungarian indonesian irish italian lithuanian nepali norwegian portuguese romanian russian serbian
  simple spanish swedish tamil turkish yiddish`.split(/\s+/),
)

/**
 * Whether a name without a schema means such an object: pg_catalog is looked through first. Dictionaries
 * and collations of the operating system and of ICU follow patterns.
 */
export function isBuiltInObject(name: string): boolean {
  return objects.has(name) || /_stem$|-x-icu$|^[a-z]{2,3}_[A-Z]{2}(\.|$)/.test(name)
}
