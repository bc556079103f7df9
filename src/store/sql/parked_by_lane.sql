select lane, count(*) from parked group by lane
