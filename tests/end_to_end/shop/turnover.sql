SELECT shop, sum(amount) AS amount, count(*) AS sales FROM sale GROUP BY shop
