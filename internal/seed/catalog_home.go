package seed

func home() node {
	return group(4, "Home & interior", "インテリア・住まい",
		group(401, "Chairs & sofas", "椅子・ソファ",
			leaf(40101, "Chairs", "椅子", furniture, "chair", warm, 6200, 0.6,
				"木製ダイニングチェア|wooden dining chair", "北欧風チェア|Scandinavian-style chair", "学校椅子リメイク|restored school chair", "ウィンザーチェア|Windsor chair"),
			leaf(40102, "Sofas", "ソファ", furniture, "sofa", warm, 18000, 0.5,
				"2人掛けソファ|two-seat sofa", "布張りソファ|fabric sofa", "ローソファ|low sofa")),
		leaf(402, "Desks & tables", "机・テーブル", furniture, "desk", woods, 9800, 0.5,
			"天然木デスク|solid wood desk", "引き出し付きデスク|desk with a drawer", "パソコンデスク|computer desk", "アンティーク調デスク|antique-style desk"),
		leaf(403, "Shelves & storage", "収納・棚", furniture, "shelf", woods, 6800, 0.5,
			"木製本棚|wooden bookshelf", "オープンシェルフ|open shelf", "スリム本棚|slim bookcase"),
		leaf(404, "Lighting", "照明", plain, "lamp", kitchen, 3900, 0.5,
			"テーブルランプ|table lamp", "ベッドサイドランプ|bedside lamp", "レトロランプ|retro lamp", "読書灯|reading lamp"),
		leaf(405, "Bedding", "寝具", plain, "bed", warm, 4900, 0.5,
			"シングル掛け布団カバー|single duvet cover", "セミダブルベッド|small double bed", "毛布|blanket"),
		leaf(406, "Cushions & fabrics", "クッション・ファブリック", plain, "cushion", fabrics, 1600, 0.5,
			"リネンクッションカバー|linen cushion cover", "ビーズクッション|bead cushion", "刺し子クッション|sashiko cushion"))
}

func kitchenware() node {
	return group(5, "Kitchen & tableware", "キッチン・食器",
		group(501, "Tableware", "食器",
			leaf(50101, "Mugs & cups", "マグ・カップ", tableware, "cup", kitchen, 1400, 0.5,
				"作家もののマグカップ|studio pottery mug", "ホーローマグ|enamel mug", "レトロコーヒーカップ|retro coffee cup", "北欧ヴィンテージカップ|Nordic vintage cup"),
			leaf(50102, "Bowls", "お椀・鉢", tableware, "bowl", leathers, 1900, 0.6,
				"木のサラダボウル|wooden salad bowl", "漆のお椀|lacquer bowl", "益子焼の鉢|Mashiko-ware bowl"),
			leaf(50103, "Plates", "皿", tableware, "plate", []colour{white, beige, sky, grey}, 1500, 0.6,
				"小花柄プレート|flower-rim plate", "ディナープレート|dinner plate", "豆皿|small plate", "骨董の染付皿|antique blue-and-white plate")),
		leaf(502, "Cookware", "調理器具", plain, "pot", kitchen, 4200, 0.6,
			"ホーロー鍋|enamel casserole", "鋳物ほうろう鍋 22cm|cast-iron casserole 22 cm", "両手鍋|two-handled pot"),
		leaf(503, "Tea & coffee", "茶器・コーヒー用品", plain, "teapot", []colour{red, black, mint, white}, 2600, 0.6,
			"鉄瓶|cast-iron kettle", "急須|Japanese teapot", "ティーポット|teapot", "土瓶|earthenware teapot"))
}

func beauty() node {
	return group(14, "Beauty", "コスメ・香水・美容",
		leaf(1401, "Lips", "リップ", plain, "lipstick", []colour{red, pink, wine, orange}, 1500, 0.4,
			"ツヤ感リップ|glossy lipstick", "マットリップ|matte lipstick", "ティントリップ|lip tint"),
		leaf(1402, "Skincare", "スキンケア", bare, "lotion", pastels, 1800, 0.45,
			"敏感肌用化粧水|lotion for sensitive skin", "ハンドソープ|hand soap", "保湿ローション|moisturising lotion", "ヘアミルク|hair milk"),
		leaf(1403, "Perfume", "香水", bare, "perfume", []colour{yellow, pink, purple, sky}, 3600, 0.6,
			"オードトワレ 50ml|eau de toilette 50 ml", "金木犀の香水|osmanthus perfume", "ウッディ系フレグランス|woody fragrance"),
		leaf(1404, "Face", "ベースメイク", plain, "compact", []colour{pink, beige, black, gold}, 1900, 0.5,
			"クッションファンデ|cushion foundation", "フェイスパウダー|face powder", "チークパレット|blush palette"))
}

func garden() node {
	return group(18, "Plants & garden", "植物・ガーデニング",
		leaf(1801, "House plants", "観葉植物", bare, "plant", []colour{orange, white, mint, grey}, 2100, 0.5,
			"アガベ 子株|agave pup", "サンスベリア|snake plant", "アロエ 鉢植え|potted aloe", "多肉植物 寄せ植え|succulent arrangement"),
		leaf(1802, "Vases", "花瓶", plain, "vase", []colour{white, sky, navy, pink}, 2400, 0.6,
			"一輪挿し|bud vase", "陶器の花瓶|ceramic vase", "ガラス風フラワーベース|flower vase"))
}

func pets() node {
	return group(19, "Pets", "ペット用品",
		leaf(1901, "Bowls & feeding", "食器・給餌", plain, "petbowl", kitchen, 1200, 0.4,
			"陶器フードボウル|ceramic food bowl", "早食い防止ボウル|slow-feeding bowl", "犬用食器|dog bowl"),
		leaf(1902, "Care", "お手入れ用品", bare, "lotion", pastels, 1100, 0.4,
			"ペットシャンプー|pet shampoo", "ブラッシングスプレー|grooming spray"))
}

func groceries() node {
	return group(20, "Food & drink", "食品・飲料",
		leaf(2001, "Fruit & vegetables", "果物・野菜", food, "apples", []colour{red, yellow, green, orange}, 2400, 0.3,
			"青森県産りんご 5kg|apples from Aomori, 5 kg", "訳ありりんご 10kg|imperfect apples, 10 kg", "長野県産 梨|pears from Nagano"),
		leaf(2002, "Tea & preserves", "お茶・加工品", food, "jar", []colour{green, red, purple, yellow}, 1300, 0.4,
			"宇治抹茶|Uji matcha", "手作りジャム|home-made jam", "国産はちみつ|Japanese honey", "ほうじ茶|roasted tea"))
}

func handmade() node {
	return group(15, "Handmade", "ハンドメイド",
		leaf(1501, "Earrings", "ピアス・イヤリング", plain, "earrings", pastels, 1300, 0.4,
			"お花のピアス|flower earrings", "樹脂フラワーイヤリング|resin flower clip-ons", "ゆれるしずくピアス|drop earrings"),
		leaf(1502, "Wool & craft supplies", "毛糸・手芸用品", plain, "yarn", pastels, 1100, 0.45,
			"並太毛糸 10玉|worsted wool, 10 balls", "編み物キット|knitting kit", "コットン糸 まとめ売り|cotton yarn bundle"),
		leaf(1503, "Bags & pouches", "バッグ・ポーチ", plain, "tote", pastels, 1900, 0.4,
			"手刺繍トートバッグ|hand-embroidered tote", "レッスンバッグ|lesson bag", "リバティ風ミニトート|small floral tote"),
		leaf(1504, "Dolls & soft toys", "人形・あみぐるみ", plain, "bear", warm, 2100, 0.45,
			"手編みのくま|crocheted bear", "テディベア ハンドメイド|handmade teddy bear"))
}
