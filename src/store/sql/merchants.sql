-- Every merchant that exists: one without any configuration gets nothing but rejections, which touch no row.
select merchant_id from settings_version union select merchant_id from unit_version union select merchant_id from object_version
