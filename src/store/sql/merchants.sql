-- Every merchant that exists: one without any configuration gets nothing but rejections, which touch no row.
select distinct merchant_id from config_version
