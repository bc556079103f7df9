select merchant_id, kind, nullif(object_id, ''), version from config_version;
